# shellcheck shell=bash
# The secure profile's settings of one service: its identity, and the files that prove it. Launchers and
# docker-compose's environment set SERVICE; commands that people run are `admin`.
export SERVICE=${SERVICE:-admin}
export SECURITY_DIR=${SECURITY_DIR:-$DATA_DIR/security}
export CREDENTIALS=$SECURITY_DIR/$SERVICE

export KAFKA_SECURITY_PROTOCOL=SASL_SSL KAFKA_SASL_MECHANISM=SCRAM-SHA-512 KAFKA_SASL_USERNAME=$SERVICE
export KAFKA_SASL_PASSWORD_FILE=$CREDENTIALS/kafka_password KAFKA_SSL_CA_FILE=$CREDENTIALS/ca.pem
export ZOOKEEPER_SSL_CA_FILE=$CREDENTIALS/ca.pem
export ZOOKEEPER_SSL_CERTIFICATE_FILE=$CREDENTIALS/certificate.pem ZOOKEEPER_SSL_KEY_FILE=$CREDENTIALS/key.pem
if [[ -r $CREDENTIALS/spark_secret ]]; then export SPARK_AUTH_SECRET_FILE=$CREDENTIALS/spark_secret; fi

# The dashboard's login and certificate; its users are data, which the dashboard's own commands change.
export DASHBOARD_USERS_FILE=${DASHBOARD_USERS_FILE:-$DATA_DIR/plotter/users.json}
export DASHBOARD_SSL_CERTIFICATE_FILE=${DASHBOARD_SSL_CERTIFICATE_FILE:-$SECURITY_DIR/plotter/certificate.pem}
export DASHBOARD_SSL_KEY_FILE=${DASHBOARD_SSL_KEY_FILE:-$SECURITY_DIR/plotter/key.pem}

# HDFS: who this service is in the realm (deploy/kerberos.py), and how the stack's own clients and servers log in. The umask
# lets both storage applications, and `admin`, put files into the same day.
case $SERVICE in
  namenode) principal=namenode/hdfs ;;
  datanode[12]) principal=datanode/hdfs ;;
  *) principal=$SERVICE ;;
esac
if [[ -r $CREDENTIALS/keytab ]]; then
  export HDFS_KERBEROS_PRINCIPAL=$principal@ORDERFLOW HDFS_KERBEROS_KEYTAB=$CREDENTIALS/keytab HDFS_CA_FILE=$CREDENTIALS/ca.pem
fi
unset principal
case $SERVICE in
  tick-storage | candle-storage | admin) export HDFS_UMASK=002 ;;
  *) export HDFS_UMASK=022 ;;
esac
export HADOOP_CONF_DIR=${HADOOP_CONF_DIR:-$ORDERFLOW_HOME/deploy/conf/hadoop/secure}
# Its files include the plain ones, as hadoop/….xml on the class path.
export SPARK_DIST_CLASSPATH=$ORDERFLOW_HOME/deploy/conf
export KRB5_CONFIG=$CONF_DIR/krb5.conf NAMENODE_SCHEME=https

realm() { # write $KRB5_CONFIG, unless it is there already
  local name text part
  text=$(<"$ORDERFLOW_HOME/deploy/conf/kerberos/krb5.conf")
  for name in BIND_HOST KDC_HOST KDC_PORT; do text=${text//"\${$name}"/${!name}}; done
  [[ ! -r $KRB5_CONFIG || $(<"$KRB5_CONFIG") != "$text" ]] || return 0
  mkdir -p "$CONF_DIR"
  part=$KRB5_CONFIG.$$
  printf '%s\n' "$text" >"$part"
  mv "$part" "$KRB5_CONFIG"
}

# The key of /trading on HDFS, for services that read or write there: decision 16.
export HDFS_KEY_PROVIDER=jceks://file$SECURITY_DIR/hdfs-key/keys.jceks

# ZooKeeper's Java client, for the Spark master.
# shellcheck disable=SC2034  # used by its launcher
ZOOKEEPER_JAVA=(-Dzookeeper.client.secure=true -Dzookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty
  "-Dzookeeper.ssl.keyStore.location=$CREDENTIALS/server.pem" -Dzookeeper.ssl.keyStore.type=PEM
  "-Dzookeeper.ssl.trustStore.location=$CREDENTIALS/ca.pem" -Dzookeeper.ssl.trustStore.type=PEM)
