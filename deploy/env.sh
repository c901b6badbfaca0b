# shellcheck shell=bash
# The environment of every launcher, health check and command in bin/: one list of names, hosts, ports and sizes.
# Order of precedence: the environment, then .env, then the defaults below (a stack of local processes on the loopback
# interface). The few that differ in a container are in deploy/container.sh.
set -euo pipefail

ORDERFLOW_HOME=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [[ -z ${PYTHON:-} ]]; then
  PYTHON=$ORDERFLOW_HOME/.venv/bin/python
  [[ -x $PYTHON ]] || PYTHON=$(PATH=${PATH#"$ORDERFLOW_HOME/bin:"} command -v python3)
fi
export ORDERFLOW_HOME PYTHON PYTHONUNBUFFERED=1 PYTHONPATH=$ORDERFLOW_HOME
export ENV_FILE=${ENV_FILE:-$ORDERFLOW_HOME/.env}

# Settings of .env that the environment lacks. Health checks run often; most need none of them, the others only an
# address, if .env has one.
reads_env() {
  [[ -f $ENV_FILE ]] || return 1
  case ${ORDERFLOW_PROBE:-} in
    "") ;;
    reads-env) grep -qE '^[^#]*(KAFKA|NAMENODE|EXPECTED|HOST|PORT)[A-Z_]*[[:space:]]*=' "$ENV_FILE" ;;
    *) return 1 ;;
  esac
}
if reads_env; then
  exports=$("$PYTHON" "$ORDERFLOW_HOME/deploy/dotenv_exports.py" "$ENV_FILE")
  eval "$exports"
  unset exports
elif [[ -z ${ORDERFLOW_PROBE:-} && -d ${ENV_FILE%/*} && ! -x ${ENV_FILE%/*} ]]; then
  echo "WARNING ${ENV_FILE%/*} cannot be entered by $(id -un), so .env is not read: chmod a+rx the project's directory" >&2
fi

# Which service this is: set by its launcher, or by its health check when that runs alone. People's commands are `admin`.
case ${BASH_SOURCE[1]:-} in
  *bin/*) export SERVICE=${SERVICE:-admin} ;;
  *deploy/launch/datanode) export SERVICE=datanode${1:-} ;;
  *deploy/launch/*) export SERVICE=${0##*/} ;;
  *deploy/health/*) export SERVICE=${SERVICE:-${0##*/}} ;;
esac

# Each process gets only the secrets that it needs, because other processes of this account can read its environment.
if [[ ${UPSTOX_ACCESS_TOKEN:-your_access_token_here} != your_access_token_here ]]; then export HAS_TOKEN=yes; fi
if [[ -n ${SERVICE:-} ]]; then
  unset UPSTOX_CLIENT_SECRET
  [[ $SERVICE == data-streamer ]] || unset UPSTOX_ACCESS_TOKEN
  [[ $SERVICE == plotter ]] || unset ALERT_WEBHOOK
fi

# Where they differ, a container's defaults come before the local ones.
if [[ -n ${IN_CONTAINER:-} ]]; then
  . "$ORDERFLOW_HOME/deploy/container.sh"
else
  # A .env made for containers names hosts that exist only there.
  [[ ${KAFKA_BROKERS:-} != kafka:29092 ]] || unset KAFKA_BROKERS
  [[ ${ZOOKEEPER_HOSTS:-} != zookeeper:2181 ]] || unset ZOOKEEPER_HOSTS
  [[ ${NAMENODE_URL:-} != hdfs://namenode:9000 ]] || unset NAMENODE_URL
  [[ ${NAMENODE_HTTP_URL:-} != http://namenode:50070 ]] || unset NAMENODE_HTTP_URL
  [[ ${SPARK_MASTER_URL:-} != spark://spark-master:7077 ]] || unset SPARK_MASTER_URL
fi

export DATA_DIR=${DATA_DIR:-$ORDERFLOW_HOME/.data}
[[ $DATA_DIR == /* ]] || DATA_DIR=$ORDERFLOW_HOME/$DATA_DIR
export ARTIFACTS_DIR=${ARTIFACTS_DIR:-$ORDERFLOW_HOME/.cache/artifacts}
export CONF_DIR=${CONF_DIR:-$DATA_DIR/conf}

# A stack remembers its offset, so commands need only DATA_DIR.
if [[ -z ${PORT_OFFSET:-} ]]; then
  PORT_OFFSET=0
  [[ ! -r $DATA_DIR/port-offset ]] || read -r PORT_OFFSET <"$DATA_DIR/port-offset"
fi
if [[ ! $PORT_OFFSET =~ ^[0-9]+$ || $PORT_OFFSET -gt 15000 ]]; then
  echo "PORT_OFFSET=$PORT_OFFSET is outside 0..15000 (the NameNode's port is 50070 above it); for example PORT_OFFSET=10000" >&2
  exit 1
fi
export PORT_OFFSET

# And so it does its profile: plain, or secure (make demo SECURE=yes).
if [[ -z ${SECURE:-} && -e $DATA_DIR/security/ca/certificate.pem ]]; then SECURE=yes; fi
export SECURE=${SECURE:-no} PROFILE=plain
if [[ $SECURE == yes ]]; then
  PROFILE=secure
  . "$ORDERFLOW_HOME/deploy/secure.sh"
elif [[ $SECURE != no ]]; then
  echo "SECURE=$SECURE is neither yes nor no; for example: make demo SECURE=yes" >&2
  exit 1
fi

# Hosts: servers listen on BIND_HOST; the others are the names under which they are reached.
export PYSPARK_PYTHON=${PYSPARK_PYTHON:-$PYTHON}
export BIND_HOST=${BIND_HOST:-127.0.0.1}
export ZOOKEEPER_HOST=${ZOOKEEPER_HOST:-127.0.0.1}
export KAFKA_HOST=${KAFKA_HOST:-127.0.0.1}
export KAFKA_EXTERNAL_HOST=${KAFKA_EXTERNAL_HOST:-localhost}
export NAMENODE_HOST=${NAMENODE_HOST:-127.0.0.1} KDC_HOST=${KDC_HOST:-127.0.0.1}
export DATANODE1_HOST=${DATANODE1_HOST:-localhost}
export DATANODE2_HOST=${DATANODE2_HOST:-localhost}
export SPARK_MASTER_HOST=${SPARK_MASTER_HOST:-127.0.0.1}
if [[ $BIND_HOST == 127.* ]]; then export SPARK_LOCAL_IP=$BIND_HOST; fi

# Ports: every one moves with PORT_OFFSET.
port() { # NAME DEFAULT
  if [[ -z ${!1:-} ]]; then printf -v "$1" '%d' $(($2 + PORT_OFFSET)); fi
  export "${1?}"
}
port KDC_PORT 10088
port ZOOKEEPER_PORT 2181
port KAFKA_EXTERNAL_PORT 9092
port KAFKA_PORT 29092
port KAFKA_CONTROLLER_PORT 29093
port NAMENODE_PORT 9000
port NAMENODE_HTTP_PORT 50070
port DATANODE1_PORT 9866
port DATANODE1_HTTP_PORT 9864
port DATANODE1_IPC_PORT 9867
port DATANODE2_PORT 9876
port DATANODE2_HTTP_PORT 9874
port DATANODE2_IPC_PORT 9877
port SPARK_MASTER_PORT 7077
port SPARK_MASTER_UI_PORT 8080
port SPARK_WORKER_UI_PORT 8081
port DASHBOARD_PORT 8050
port SIM_PORT 8765
port DATA_STREAMER_HEALTH_PORT 9101
port PROCESSOR_HEALTH_PORT 9102
port TICK_STORAGE_HEALTH_PORT 9103
port CANDLE_STORAGE_HEALTH_PORT 9104

# The applications' settings: orderflow/settings.py.
export KAFKA_BROKERS=${KAFKA_BROKERS:-$KAFKA_HOST:$KAFKA_PORT}
export ZOOKEEPER_HOSTS=${ZOOKEEPER_HOSTS:-$ZOOKEEPER_HOST:$ZOOKEEPER_PORT}
export NAMENODE_URL=${NAMENODE_URL:-hdfs://$NAMENODE_HOST:$NAMENODE_PORT}
export NAMENODE_HTTP_URL=${NAMENODE_HTTP_URL:-${NAMENODE_SCHEME:-http}://$NAMENODE_HOST:$NAMENODE_HTTP_PORT}
export SPARK_MASTER_URL=${SPARK_MASTER_URL:-spark://$SPARK_MASTER_HOST:$SPARK_MASTER_PORT}
# Hadoop's Java client logs in as its own environment says.
[[ -z ${HDFS_USER:-} ]] || export HADOOP_USER_NAME=$HDFS_USER
[[ -z ${HDFS_KERBEROS_PRINCIPAL:-} ]] || export KRB5PRINCIPAL=$HDFS_KERBEROS_PRINCIPAL KRB5KEYTAB=${HDFS_KERBEROS_KEYTAB:-}
[[ $PROFILE != secure ]] || realm
export DASHBOARD_HOST=${DASHBOARD_HOST:-$BIND_HOST}
export HEALTH_HOST=${HEALTH_HOST:-127.0.0.1}
export SPOOL_DIR=${SPOOL_DIR:-$DATA_DIR/data-streamer/spool}

# The feed: `live`; `simulator` (make demo); or `auto`, which is live with a token and else the simulator, once it runs
# (containers: docker compose --profile demo). The simulator has a certificate authority of its own.
export FEED=${FEED:-live} SIM_HOST=${SIM_HOST:-$BIND_HOST} SIMULATOR_HOST=${SIMULATOR_HOST:-localhost}
export SIM_TLS_DIR=${SIM_TLS_DIR:-$DATA_DIR/simulator/tls} SIM_TOKEN=${SIM_TOKEN:-simulator}

# Sizes. Heap of each server and of Spark's drivers and executors. An application's cores are in orderflow/settings.py.
export ZOOKEEPER_HEAP=${ZOOKEEPER_HEAP:-64m} KAFKA_HEAP=${KAFKA_HEAP:-256m}
export NAMENODE_HEAP=${NAMENODE_HEAP:-128m} DATANODE_HEAP=${DATANODE_HEAP:-96m}
export NAMENODE_CHECKPOINT_SECONDS=${NAMENODE_CHECKPOINT_SECONDS:-1800} NAMENODE_CHECKPOINT_EDITS=${NAMENODE_CHECKPOINT_EDITS:-200000}
export SPARK_DAEMON_MEMORY=${SPARK_DAEMON_MEMORY:-128m}
export SPARK_WORKER_CORES=${SPARK_WORKER_CORES:-8} SPARK_WORKER_MEMORY=${SPARK_WORKER_MEMORY:-4g}
export SESSION_CORES=${SESSION_CORES:-1}
export DRIVER_MEMORY=${DRIVER_MEMORY:-480m} EXECUTOR_MEMORY=${EXECUTOR_MEMORY:-480m}
export PROCESSOR_DRIVER_MEMORY=${PROCESSOR_DRIVER_MEMORY:-512m} PROCESSOR_EXECUTOR_MEMORY=${PROCESSOR_EXECUTOR_MEMORY:-600m}
export SPARK_DEFAULT_PARALLELISM=${SPARK_DEFAULT_PARALLELISM:-2} SPARK_SQL_SHUFFLE_PARTITIONS=${SPARK_SQL_SHUFFLE_PARTITIONS:-2}
export SPARK_UI_ENABLED=${SPARK_UI_ENABLED:-false}
export HDFS_REPLICATION=${HDFS_REPLICATION:-2} EXPECTED_DATANODES=${EXPECTED_DATANODES:-2}

# Java. One thread collects garbage and the quick compiler serves: two cores run them all.
if [[ -n ${JAVA_HOME:-} ]]; then JAVA=$JAVA_HOME/bin/java; else JAVA=java; fi
JAVA_SERVER=(-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:+ExitOnOutOfMemoryError -XX:-UsePerfData -Xss512k
  -Djava.net.preferIPv4Stack=true)
# Java looks for a realm of one's own where MIT's programs and Python's library are told to.
[[ -z ${KRB5_CONFIG:-} ]] || JAVA_SERVER+=("-Djava.security.krb5.conf=$KRB5_CONFIG")
# shellcheck disable=SC2034  # used by the launchers
HADOOP_JAVA=(--add-opens java.base/java.lang=ALL-UNNAMED --add-opens java.base/java.util=ALL-UNNAMED
  -cp "${HADOOP_CONF_DIR:-$ORDERFLOW_HOME/deploy/conf/hadoop}:$ORDERFLOW_HOME/deploy/conf:$ARTIFACTS_DIR/hdfs/*"
  "-Dlog4j.configuration=file:$ORDERFLOW_HOME/deploy/conf/hadoop/log4j.properties" -Dorderflow.audit=OFF)
JAVA_NAMES=()
KAFKA_JAVA=(-cp "$ARTIFACTS_DIR/kafka/*" "-Dlog4j2.configurationFile=file:$ORDERFLOW_HOME/deploy/conf/kafka/log4j2.properties")
export MALLOC_ARENA_MAX=2
# Drivers plan and storage writes a little, so a small young generation keeps them small. Java would begin with a 64th of the
# machine's memory, and fill it before it collects. The quick compiler serves executors, too: most of their work is in Python
# (docs/MEASUREMENTS.md).
export DRIVER_JAVA_OPTIONS=${DRIVER_JAVA_OPTIONS:-${JAVA_SERVER[*]} -Xms160m -Xmn64m}
export EXECUTOR_JAVA_OPTIONS=${EXECUTOR_JAVA_OPTIONS:-${JAVA_SERVER[*]} -Xms160m -Xmn64m}
export PROCESSOR_EXECUTOR_JAVA_OPTIONS=${PROCESSOR_EXECUTOR_JAVA_OPTIONS:-${JAVA_SERVER[*]} -Xms160m}

# Spark, for applications and for a person's own session.
if [[ -z ${SPARK_HOME:-} ]]; then
  for SPARK_HOME in "$(dirname "$PYTHON")"/../lib/python3*/site-packages/pyspark; do :; done
fi
export SPARK_HOME HADOOP_CONF_DIR=${HADOOP_CONF_DIR:-$ORDERFLOW_HOME/deploy/conf/hadoop}
export PYSPARK_PYTHON=$PYTHON PYSPARK_DRIVER_PYTHON=$PYTHON
# pyspark imports its own test tools, which warn about newer pandas each time.
export PYTHONWARNINGS=${PYTHONWARNINGS:-ignore:PySpark does not yet fully support:FutureWarning}

# People's commands and scripts name the services as in docker-compose.yml. Outside containers those names are this machine:
# Java takes them from a hosts file (which also means that a session there reaches no other machine by name).
service_names() {
  [[ -z ${IN_CONTAINER:-} ]] || return 0
  mkdir -p "$CONF_DIR"
  [[ -s $CONF_DIR/hosts ]] ||
    echo "127.0.0.1 localhost zookeeper kafka namenode datanode1 datanode2 spark-master $(hostname)" >"$CONF_DIR/hosts"
  JAVA_NAMES=("-Djdk.net.hosts.file=$CONF_DIR/hosts")
}

session_conf() { # a person's own session
  service_names
  DRIVER_JAVA_OPTIONS="$DRIVER_JAVA_OPTIONS ${JAVA_NAMES[*]}"
  EXECUTOR_JAVA_OPTIONS="$EXECUTOR_JAVA_OPTIONS ${JAVA_NAMES[*]}"
  # Only inside its driver's process does Spark itself use the driver's login to HDFS; applications see to it themselves.
  [[ -z ${HDFS_KERBEROS_PRINCIPAL:-} ]] || local SPARK_MASTER_URL="local[$SESSION_CORES]"
  spark_conf session "$DRIVER_MEMORY" "$EXECUTOR_MEMORY" "$EXECUTOR_JAVA_OPTIONS"
}

render() { # FILE TEMPLATE…: fill in ${NAMES} from the environment
  local file=$1
  shift
  mkdir -p "$(dirname "$file")"
  "$PYTHON" -I "$ORDERFLOW_HOME/deploy/render.py" "$file" "${@/#/$ORDERFLOW_HOME/deploy/conf/}"
}

spark_conf() { # NAME DRIVER_MEMORY EXECUTOR_MEMORY EXECUTOR_JAVA_OPTIONS: a conf directory of this application's own
  export SPARK_CONF_DIR=$CONF_DIR/spark-$1
  DRIVER_MEMORY=$2 EXECUTOR_MEMORY=$3 EXECUTOR_JAVA_OPTIONS=$4 render "$SPARK_CONF_DIR/spark-defaults.conf" \
    spark/spark-defaults.conf "spark/$PROFILE.conf"
  [[ -z ${SPARK_EXTRA_CONF:-} ]] || cat "$SPARK_EXTRA_CONF" >>"$SPARK_CONF_DIR/spark-defaults.conf"
  if [[ -n ${SPARK_AUTH_SECRET_FILE:-}${HDFS_KERBEROS_PRINCIPAL:-}${HDFS_USER:-} ]]; then
    chmod 600 "$SPARK_CONF_DIR/spark-defaults.conf"
    "$PYTHON" "$ORDERFLOW_HOME/deploy/client_options.py" spark >>"$SPARK_CONF_DIR/spark-defaults.conf"
  fi
  render "$SPARK_CONF_DIR/log4j2.properties" spark/log4j2.properties
}

wait_for_port() { # HOST PORT: costs nothing, so it may come before a health check
  until (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; do sleep 1; done
}

wait_for() { # SERVICE...: return when each is healthy; a service that starts early waits instead of failing
  local service address problem reported
  for service in "$@"; do
    case $service in
      zookeeper) address=${ZOOKEEPER_HOSTS%%[,/]*} ;;
      kafka | setup-topics) address=${KAFKA_BROKERS%%,*} ;;
      namenode | setup-hdfs) address=${NAMENODE_HTTP_URL#*://} ;;
      spark-master) address=$SPARK_MASTER_HOST:$SPARK_MASTER_UI_PORT ;;
    esac
    reported=
    # Check the port first, which costs nothing: health checks start a Python, and many services wait at once.
    until if (exec 3<>"/dev/tcp/${address%:*}/${address##*:}") 2>/dev/null; then
      problem=$("$ORDERFLOW_HOME/deploy/health/$service" 2>&1)
    else
      problem="nothing listens at $address yet" && false
    fi; do
      [[ $reported == "$problem" ]] || echo "waiting for $service: $problem"
      reported=$problem
      sleep 2
    done
  done
}

has_token() { # whether there is an Upstox access token
  [[ -n ${HAS_TOKEN:-} || -s ${UPSTOX_ACCESS_TOKEN_FILE:-} ]]
}

use_simulator() { # take the simulator for Upstox
  export FEED=simulator UPSTOX_ACCESS_TOKEN=$SIM_TOKEN UPSTOX_CA_FILE=$SIM_TLS_DIR/ca.pem UPSTOX_ACCESS_TOKEN_FILE=
  export INSTRUMENT=${INSTRUMENT:-NSE_EQ|INE467B01029,NSE_EQ|INE040A01034,NSE_EQ|INE009A01021}
  export UPSTOX_REST_URL=https://$SIMULATOR_HOST:${SIM_PORT?}
  export UPSTOX_FEED_URL=wss://$SIMULATOR_HOST:$SIM_PORT/v3/feed/market-data-feed
  export INSTRUMENT_MASTER=$UPSTOX_REST_URL/instruments/complete.json.gz
}

choose_feed() { # settle FEED=auto, waiting for a simulator if there is no token
  if [[ $FEED == auto ]] && has_token; then FEED=live; fi
  if [[ $FEED == auto ]]; then
    if ! (exec 3<>"/dev/tcp/$SIMULATOR_HOST/$SIM_PORT") 2>/dev/null; then
      echo "ERROR no Upstox access token and no simulator: put UPSTOX_ACCESS_TOKEN=… into .env and restart this service," \
        "or start the simulated market with: docker compose --profile demo up -d"
      wait_for_port "$SIMULATOR_HOST" "$SIM_PORT"
    fi
    FEED=simulator
  fi
  [[ $FEED != simulator ]] || use_simulator
}

spark_app() { # NAME SCRIPT: run one of the entry points that need the cluster
  local prefix=${1^^}
  prefix=${prefix//-/_}
  local driver=${prefix}_DRIVER_MEMORY executor=${prefix}_EXECUTOR_MEMORY health=${prefix}_HEALTH_PORT
  local java=${prefix}_EXECUTOR_JAVA_OPTIONS
  spark_conf "$1" "${!driver:-$DRIVER_MEMORY}" "${!executor:-$EXECUTOR_MEMORY}" "${!java:-$EXECUTOR_JAVA_OPTIONS}"
  wait_for setup-hdfs setup-topics
  [[ $SPARK_MASTER_URL != "spark://$SPARK_MASTER_HOST:$SPARK_MASTER_PORT" ]] || wait_for spark-master
  HEALTH_PORT=${!health} exec "$PYTHON" "$ORDERFLOW_HOME/$2"
}

kafka_tool() { # CLASS [ARGUMENT…]
  local login=()
  if [[ ${KAFKA_SECURITY_PROTOCOL:-PLAINTEXT} != PLAINTEXT && " $* " != *" --command-config "* ]]; then
    # A pipe, not a file: it holds the password.
    exec {login}< <("$PYTHON" "$ORDERFLOW_HOME/deploy/client_options.py" kafka)
    login=(--command-config "/dev/fd/$login")
  fi
  exec "$JAVA" "${JAVA_SERVER[@]}" -Xmx128m "${KAFKA_JAVA[@]}" "${@//kafka:29092/$KAFKA_BROKERS}" "${login[@]}"
}
