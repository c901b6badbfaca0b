# shellcheck shell=bash
# Health checks run all the time, and starting a Python costs ten times as much as the check. So Bash asks first. Only
# services that do not clearly look healthy are checked by deploy/probe.py, which knows the rules and gives the reason.

# A server that is just starting may accept a connection and never answer on it.
ANSWER_SECONDS=5

probe() { # KIND ADDRESS…: end with exit code 0 when healthy, else 1 with the reason
  if (quick "$@") 2>/dev/null; then exit 0; fi
  exec "$PYTHON" "$ORDERFLOW_HOME/deploy/probe.py" "$@"
}

quick() { # KIND ADDRESS…: succeed only when the service is certainly healthy
  local body
  case $1 in
    healthz | dashboard) get "$2/healthz" || return 1 ;;
    datanode)
      get "$2/jmx?get=Hadoop:service=DataNode,name=DataNodeInfo::BPServiceActorInfo" || return 1
      [[ $body =~ ActorState[^A-Z]*RUNNING && ${body#*ActorState} != *ActorState* ]] || return 1
      [[ $body =~ LastHeartbeat[^0-9]*([0-9]+) && ${BASH_REMATCH[1]} -le 30 ]] || return 1
      ;;
    namenode)
      get "$2/jmx?qry=Hadoop:service=NameNode,name=NameNodeStatus" || return 1
      [[ $body == *'"State" : "active"'* ]] || return 1
      get "$2/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState" || return 1
      [[ $body == *'"FSState" : "Operational"'* ]] || return 1
      [[ $body =~ \"NumLiveDataNodes\"\ :\ ([0-9]+) && ${BASH_REMATCH[1]} -ge $3 ]] || return 1
      ;;
    spark-master)
      get "$2/json/" || return 1
      [[ $body == *'"status" : "ALIVE"'* && $body =~ \"aliveworkers\"\ :\ [1-9] ]] || return 1
      ;;
    spark-worker)
      get "$2/json/" || return 1
      [[ $body =~ \"masterurl\"\ :\ \"spark: ]] || return 1
      ;;
    zookeeper)
      [[ -z ${ZOOKEEPER_SSL_CA_FILE:-}${ZOOKEEPER_SSL_CERTIFICATE_FILE:-} ]] || return 1
      dial "${2%%[,/]*}" || return 1
      printf ruok >&3
      [[ $(timeout "$ANSWER_SECONDS" cat <&3) == imok ]] || return 1
      ;;
    kafka)
      [[ ${KAFKA_SECURITY_PROTOCOL:-PLAINTEXT} == PLAINTEXT ]] || return 1
      dial "${2%%,*}" || return 1
      # Metadata, version 1, of no topic: length, key 3, version 1, correlation 7, no client, no topics.
      printf '\0\0\0\016\0\03\0\01\0\0\0\07\377\377\0\0\0\0' >&3
      # Length, correlation 7, and one broker at least.
      [[ $(timeout "$ANSWER_SECONDS" head -c 12 <&3 | od -An -tu1) =~ ^(\ +[0-9]+){4}\ +0\ +0\ +0\ +7\ +0\ +0\ +0\ +[1-9] ]] || return 1
      ;;
    *) return 1 ;;
  esac
}

dial() { # HOST:PORT: connect as descriptor 3
  exec 3<>"/dev/tcp/${1%:*}/${1##*:}"
}

get() { # URL: fetch it into $body; fail unless it is there
  [[ $1 =~ ^http://([^/]+)(/.*)$ ]] || return 1
  dial "${BASH_REMATCH[1]}" || return 1
  printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "${BASH_REMATCH[2]}" "${BASH_REMATCH[1]}" >&3
  body=$(timeout "$ANSWER_SECONDS" cat <&3) || return 1
  exec 3>&-
  [[ $body =~ ^HTTP/1\.[01]\ 200\  ]] || return 1
}
