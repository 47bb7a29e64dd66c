"""The core: pure values over frozen records, the processors of a context and the Topology that names them."""

from msgspec import field

from foldlog.core.decider import Decider
from foldlog.core.errors import Rejected
from foldlog.core.meta import Meta
from foldlog.core.publication import Publication
from foldlog.core.ranking import Distinct, top
from foldlog.core.reactor import Message, Reactor, Sender
from foldlog.core.record import Money, Record, Scale, replace
from foldlog.core.saga import Migration, Saga
from foldlog.core.serving import Serving
from foldlog.core.steps import Call, Progress, Retry, Step
from foldlog.core.stepwise import stepwise
from foldlog.core.subscription import Subscription
from foldlog.core.timers import Cancel, Schedule
from foldlog.core.topology import Topology
from foldlog.core.view import Lookup, View
from foldlog.core.window import Hopping, Sessions, Tumbling, Windowed

__all__ = [
    "Call",
    "Cancel",
    "Decider",
    "Distinct",
    "Hopping",
    "Lookup",
    "Message",
    "Meta",
    "Migration",
    "Money",
    "Progress",
    "Publication",
    "Reactor",
    "Record",
    "Rejected",
    "Retry",
    "Saga",
    "Scale",
    "Schedule",
    "Sender",
    "Serving",
    "Sessions",
    "Step",
    "Subscription",
    "Topology",
    "Tumbling",
    "View",
    "Windowed",
    "field",
    "replace",
    "stepwise",
    "top",
]
