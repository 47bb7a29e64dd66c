import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Locale;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.BiConsumer;
import java.util.function.Function;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** The workload in Kafka Streams, exactly_once_v2, state in RocksDB; STREAMS_THREADS is the number of threads. */
public class AccountStreams {
    static final String STORE = "accounts";
    static final int DEPOSIT = 0;
    static final int DEPOSITED = 0, WITHDRAWN = 1, REFUSED = 2;

    record Command(String id, String account, int type, long amount, long sent) {}

    record Event(String id, String command, String account, long version, int type, long amount, long balance, long sent) {}

    record Account(long version, long balance) {}

    /** Avro's variable-length zig-zag integers and strings. */
    static long readLong(ByteBuffer in) {
        long raw = 0;
        for (int shift = 0; ; shift += 7) {
            byte next = in.get();
            raw |= (long) (next & 0x7f) << shift;
            if (next >= 0) return raw >>> 1 ^ -(raw & 1);
        }
    }

    static void writeLong(ByteBuffer out, long value) {
        long raw = value << 1 ^ value >> 63;
        for (; (raw & ~0x7fL) != 0; raw >>>= 7) out.put((byte) (raw & 0x7f | 0x80));
        out.put((byte) raw);
    }

    static String readString(ByteBuffer in) {
        int size = (int) readLong(in);
        String text = new String(in.array(), in.position(), size, StandardCharsets.UTF_8);
        in.position(in.position() + size);
        return text;
    }

    static void writeString(ByteBuffer out, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        writeLong(out, bytes.length);
        out.put(bytes);
    }

    static <T> Serde<T> serde(int schema, BiConsumer<ByteBuffer, T> write, Function<ByteBuffer, T> read) {
        return Serdes.serdeFrom(
            (topic, value) -> {
                if (value == null) return null;
                ByteBuffer out = ByteBuffer.allocate(512).put((byte) 0).putInt(schema);
                write.accept(out, value);
                return Arrays.copyOf(out.array(), out.position());
            },
            (topic, bytes) -> bytes == null ? null : read.apply(ByteBuffer.wrap(bytes).position(5)));
    }

    static final Serde<Command> COMMANDS = serde(1, (out, command) -> {},
        in -> new Command(readString(in), readString(in), (int) readLong(in), readLong(in), readLong(in)));

    static final Serde<Event> EVENTS = serde(2, (out, event) -> {
        writeString(out, event.id);
        writeString(out, event.command);
        writeString(out, event.account);
        writeLong(out, event.version);
        writeLong(out, event.type);
        writeLong(out, event.amount);
        writeLong(out, event.balance);
        writeLong(out, event.sent);
    }, in -> null);

    static final Serde<Account> ACCOUNTS = serde(3, (out, account) -> {
        writeLong(out, account.version);
        writeLong(out, account.balance);
    }, in -> new Account(readLong(in), readLong(in)));

    static final AtomicBoolean first = new AtomicBoolean(true);

    /** Says when the first record came, and what CPU time was used until then. */
    static void stamp() {
        var system = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        var text = String.format(Locale.ROOT, "%.3f %.3f",
            System.currentTimeMillis() / 1e3, system.getProcessCpuTime() / 1e9);
        write(Path.of(System.getenv("BENCH_STAMPS"), "streams-" + ProcessHandle.current().pid()), text);
    }

    static void write(Path file, String text) {
        try {
            Files.writeString(file, text);
        } catch (java.io.IOException error) {
            throw new java.io.UncheckedIOException(error);
        }
    }

    /** Says how long restoring took, from the first store's beginning to the last one's end. */
    static class Restoring implements StateRestoreListener {
        private long began = 0, records = 0;

        @Override
        public synchronized void onRestoreStart(TopicPartition partition, String store, long first, long end) {
            if (began == 0) began = System.nanoTime();
        }

        @Override
        public void onBatchRestored(TopicPartition partition, String store, long end, long count) {}

        @Override
        public synchronized void onRestoreEnd(TopicPartition partition, String store, long count) {
            records += count;
            String text = String.format(Locale.ROOT, "%.3f %d", (System.nanoTime() - began) / 1e9, records);
            write(Path.of(System.getenv("BENCH_DATA"), "restored"), text);
        }
    }

    static class Decide implements Processor<String, Command, String, Event> {
        private ProcessorContext<String, Event> context;
        private KeyValueStore<String, Account> accounts;

        @Override
        public void init(ProcessorContext<String, Event> context) {
            this.context = context;
            this.accounts = context.getStateStore(STORE);
        }

        @Override
        public void process(Record<String, Command> record) {
            if (first.get() && first.compareAndSet(true, false)) stamp();
            Command command = record.value();
            Account before = accounts.get(command.account);
            long version = before == null ? 1 : before.version + 1, balance = before == null ? 0 : before.balance;
            int type = command.type == DEPOSIT ? DEPOSITED : balance >= command.amount ? WITHDRAWN : REFUSED;
            if (type == DEPOSITED) balance += command.amount;
            if (type == WITHDRAWN) balance -= command.amount;
            accounts.put(command.account, new Account(version, balance));
            String id = UUID.randomUUID().toString();
            context.forward(record.withValue(new Event(
                id, command.id, command.account, version, type, command.amount, balance, command.sent)));
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        var config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, System.getenv("BENCH_ID"));
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, System.getenv("BENCH_BOOTSTRAP"));
        config.put(StreamsConfig.STATE_DIR_CONFIG, System.getenv("BENCH_DATA"));
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, System.getenv().getOrDefault("STREAMS_THREADS", "1"));
        config.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        config.put("auto.offset.reset", "earliest");

        var builder = new StreamsBuilder();
        builder.addStateStore(
            Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(STORE), Serdes.String(), ACCOUNTS));
        builder.stream(System.getenv("BENCH_COMMANDS"), Consumed.with(Serdes.String(), COMMANDS))
            .process(Decide::new, STORE)
            .to(System.getenv("BENCH_EVENTS"), Produced.with(Serdes.String(), EVENTS));

        var streams = new KafkaStreams(builder.build(), config);
        var ended = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            ended.countDown();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        var leaving = new KafkaStreams.CloseOptions().leaveGroup(true).timeout(Duration.ofSeconds(15));
        streams.setGlobalStateRestoreListener(new Restoring());
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(leaving)));
        streams.start();
        ended.await();
        System.exit(1);
    }
}
