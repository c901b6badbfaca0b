"""The Spark session of an application: name, master and cores from settings; sizes and replication from spark-defaults.conf."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import SparkSession

from orderflow.processing.executor_python import DIRECTORY, INTERPRETER, require_same_contents
from orderflow.settings import Settings


def spark_session(settings: Settings, name: str, cores: int) -> SparkSession:
    """Connect to the Spark master as application `name` with at most `cores` cores.

    Sessions run in UTC: IST is applied where dates and candle times are written. Executors are sent the settings' archive of
    Python, if there is one; SettingsError is raised when it does not go with this driver.
    """
    builder = (
        SparkSession.builder.appName(name)
        .master(settings.spark.master_url)
        .config("spark.cores.max", cores)
        .config("spark.scheduler.mode", "FAIR")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.streaming.metricsEnabled", "false")
        .config("spark.sql.streaming.numRecentProgressUpdates", 20)
        .config("spark.python.daemon.module", "orderflow.worker_daemon")
    )
    archive = settings.executor_python_archive
    spark = _with_archive(builder, archive) if archive and not _is_local(settings) else builder.getOrCreate()
    spark.sparkContext.setLogLevel("WARN")
    if settings.hdfs.kerberos_principal and not _is_local(settings):
        _share_login(spark)
    return spark


def _is_local(settings: Settings) -> bool:
    return settings.spark.master_url.startswith("local")


def _share_login(spark: SparkSession) -> None:
    """Give executors tokens of the driver's login to HDFS, and new ones before they expire.

    Spark does so by itself in its other kinds of cluster, but not with a standalone master. The keytab is that of
    `spark.kerberos.keytab`.
    """
    context = spark.sparkContext
    backend = context._jsc.sc().schedulerBackend()
    tokens = context._jvm.org.apache.spark.deploy.security.HadoopDelegationTokenManager(
        context._jsc.sc().conf(), context._jsc.hadoopConfiguration(), backend.driverEndpoint()
    )
    backend.updateDelegationTokens(tokens.start())


def _with_archive(builder: SparkSession.Builder, archive: Path) -> SparkSession:
    require_same_contents(archive)
    builder = builder.config("spark.archives", f"{archive.resolve().as_uri()}#{DIRECTORY}")
    spark = builder.getOrCreate()
    spark.sparkContext.pythonExec = INTERPRETER
    return spark
