# shellcheck shell=bash
# The defaults of deploy/env.sh that differ in a container of docker-compose.yml; .env and the environment come first.
export BIND_HOST=${BIND_HOST:-0.0.0.0} HEALTH_HOST=${HEALTH_HOST:-0.0.0.0}
export ZOOKEEPER_HOST=${ZOOKEEPER_HOST:-zookeeper} KAFKA_HOST=${KAFKA_HOST:-kafka} NAMENODE_HOST=${NAMENODE_HOST:-namenode}
export KDC_HOST=${KDC_HOST:-kdc}
# Names that lead to a DataNode from inside the network (an alias there) and from the host, where every browser takes
# *.localhost for this machine: the NameNode's pages link to them.
export DATANODE1_HOST=${DATANODE1_HOST:-datanode1.localhost} DATANODE2_HOST=${DATANODE2_HOST:-datanode2.localhost}
export SPARK_MASTER_HOST=${SPARK_MASTER_HOST:-spark-master} SIMULATOR_HOST=${SIMULATOR_HOST:-simulator}
export FEED=${FEED:-auto} PORT_OFFSET=0
