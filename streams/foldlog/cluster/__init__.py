"""A Kafka and a schema registry to work with: an existing pair, Docker's, or the embedded one.

`up` makes sure that a cluster runs and says where, `find` says where without starting one, `down` stops what
`up` started, `status` describes it. The embedded pair is the real Apache Kafka and the real Apicurio Registry,
run on the JRE of a Python package: neither Java, Maven nor Docker is needed.
"""

from foldlog.cluster.locate import down, find, status, up
from foldlog.cluster.model import Cluster, Progress, Server, Status, quiet

__all__ = ["Cluster", "Progress", "Server", "Status", "down", "find", "quiet", "status", "up"]
