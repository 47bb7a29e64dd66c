"""Apicurio Registry, asked through its Confluent-compatible interface, with its data in a file database."""

from http.client import HTTPConnection, HTTPException

from foldlog.cluster.artifacts import Software
from foldlog.cluster.java import Ports, Server
from foldlog.cluster.place import Place
from foldlog.cluster.ports import HOST

API = "/apis/ccompat/v7"

# Without WRITE_DELAY=0 a killed registry forgets the schemas of its last half second, whose ids are in records.
DATABASE = "jdbc:h2:file:./registry/registry;DB_CLOSE_ON_EXIT=FALSE;WRITE_DELAY=0"

HEAP = (
    "-Xms32m",
    "-Xmx192m",
    "-Xss512k",
    "-XX:MaxMetaspaceSize=160m",
    "-XX:CICompilerCount=1",
)

PROPERTIES = {
    "quarkus.http.host": HOST,
    "quarkus.management.host": HOST,
    "quarkus.http.access-log.enabled": "false",
    "quarkus.log.level": "ERROR",
    "quarkus.vertx.event-loops-pool-size": "2",
    "quarkus.thread-pool.max-threads": "8",
    "apicurio.storage.kind": "sql",
    "apicurio.storage.sql.kind": "h2",
    "apicurio.datasource.url": DATABASE,
    "apicurio.datasource.jdbc.initial-size": "1",
    "apicurio.datasource.jdbc.min-size": "1",
    "apicurio.datasource.jdbc.max-size": "4",
    "java.io.tmpdir": "registry/tmp",
    "apicurio.import.work-dir": "registry/import",
    "apicurio.storage.snapshot.location": "registry/snapshots",
}


def url(port: int) -> str:
    """The base URL for clients of a Confluent-compatible registry."""
    return f"http://{HOST}:{port}{API}"


def prepare(place: Place, _software: Software, _ports: Ports) -> None:
    """Create the directories that the registry expects."""
    for name in ("tmp", "import", "snapshots"):
        (place.registry / name).mkdir(parents=True, exist_ok=True)


def is_created(place: Place) -> bool:
    """Whether the database file is there."""
    return any(place.registry.glob("registry*.db"))


def arguments(software: Software, ports: Ports) -> list[str]:
    """JVM options and jar."""
    own = {"quarkus.http.port": ports["registry"], "quarkus.management.port": ports["management"]}
    defined = [f"-D{name}={value}" for name, value in (PROPERTIES | own).items()]
    return [*HEAP, *defined, "-jar", str(software.registry / "quarkus-run.jar")]


def responds(ports: Ports) -> bool:
    """Whether it lists its subjects, which it can only with its database open."""
    connection = HTTPConnection(HOST, ports["registry"], timeout=2)
    try:
        connection.request("GET", f"{API}/subjects")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


REGISTRY = Server("registry", ("registry", "management"), prepare, arguments, responds)
