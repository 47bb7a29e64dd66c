"""Risk: assesses the bank's transfers by scores of the paying account, and stops those of an account with a case."""

from foldlog.core import Topology
from topologies.risk.compliance import alerts, compliance_status
from topologies.risk.exchange import assessments, bank_transfers
from topologies.risk.profile import profile

risk = Topology(
    "risk",
    deciders=(profile,),
    views=(compliance_status,),
    reactors=(alerts,),
    publishes=(assessments,),
    consumes=(bank_transfers,),
)

__all__ = ["risk"]
