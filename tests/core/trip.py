"""A trip in steps: a flight, then a hotel and a car at once, then a ticket; what is booked can be given back."""

from collections.abc import Callable
from datetime import timedelta

from foldlog.core import Call, Decider, Progress, Record, Retry, Saga, Step, replace, stepwise

MINUTE = timedelta(minutes=1)
AGAIN = Retry(limit=2, first=timedelta(seconds=10), factor=3)


class Booking(Record):
    what: str
    trip: str


class Book(Booking): ...


class GiveBack(Booking): ...


class Booked(Booking): ...


class Full(Booking): ...


class GivenBack(Booking): ...


class NotTaken(Booking):
    """What was booked is not taken back."""


class Agency(Record):
    booked: tuple[str, ...] = ()


def decide(command: Book | GiveBack, agency: Agency) -> list[Booked | Full | GivenBack | NotTaken]:
    match command:
        case Book(what, trip):
            return [Booked(what, trip)]
        case GiveBack(what, trip):
            return [GivenBack(what, trip)]


def evolve(agency: Agency, event: Booked | Full | GivenBack | NotTaken) -> Agency:
    return agency


agency = Decider("agency", Agency(), key=lambda command: command.what, decide=decide, evolve=evolve)


class PlanTrip(Record):
    trip: str
    by_car: bool = True


class Trip(Progress):
    trip: str = ""
    by_car: bool = True
    booked: tuple[str, ...] = ()


def begin(trip: Trip, command: PlanTrip) -> Trip:
    return replace(trip, trip=command.trip, by_car=command.by_car)


def note(trip: Trip, event: Booked) -> Trip:
    return replace(trip, booked=(*trip.booked, event.what))


def step(what: str, *, timeout: timedelta | None = None, retry: Retry = AGAIN, lasting: bool = False) -> Step[Trip]:
    """A step that books something; what is lasting cannot be given back."""

    def book(trip: Trip) -> Book | None:
        return Book(what, trip.trip) if what != "car" or trip.by_car else None

    def give_back(trip: Trip) -> GiveBack:
        return GiveBack(what, trip.trip)

    mine: Callable[[Trip, Booking], bool] = lambda trip, event: event.what == what  # noqa: E731
    call = Call(book, Booked, Full, mine, timeout, retry)
    return Step(what, call, None if lasting else Call(give_back, GivenBack, NotTaken, mine, timeout, retry))


def trips(*steps: Step[Trip] | tuple[Step[Trip], ...]) -> Saga[Record, Record, Trip]:
    return stepwise(
        "trips", agency, Trip(), start=begin, correlate=lambda message: message.trip, steps=steps, note=note
    )


trip = trips(
    step("flight", timeout=MINUTE),
    (step("hotel", retry=Retry()), step("car", retry=Retry())),
    step("ticket", retry=Retry()),
)
