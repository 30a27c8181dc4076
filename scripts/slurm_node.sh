#!/usr/bin/env bash
# A SLURM of one node on this machine, on loopback, for tests and for trying a sweep out.
#
#   scripts/slurm_node.sh start FOLDER    start munged, slurmctld and slurmd; FOLDER holds all state
#   scripts/slurm_node.sh stop FOLDER     end them
#
# `start` prints the two lines that a shell needs to use it:  eval "$(scripts/slurm_node.sh start /tmp/node)"
# Needs root and the packages slurm-wlm and munge (Debian, Ubuntu: apt-get install slurm-wlm munge). Exit code 3: this
# machine cannot; the reason is on stderr.
set -euo pipefail

CANNOT=3
cannot() { echo "slurm_node: $1" >&2; exit "$CANNOT"; }

# How long scontrol remembers ended jobs: the stand-in for sacct reads them there.
readonly REMEMBER_S=86400

requirements() {
  [ "$(id -u)" -eq 0 ] || cannot "needs root"
  local program
  for program in munged slurmctld slurmd sbatch scontrol; do
    command -v "$program" > /dev/null || cannot "$program is missing: apt-get install slurm-wlm munge"
  done
}

# Without its database, which wants a MySQL server, SLURM has no sacct. submitit asks sacct alone how its jobs are, so
# a stand-in answers from scontrol, which knows the same of all jobs of the last day.
write_sacct() {
  cat > "$1/bin/sacct" << 'SACCT'
#!/usr/bin/env bash
echo "JobID|State|NodeList"
scontrol --oneliner show job 2> /dev/null | awk '
  {
    delete field
    for (i = 1; i <= NF; i++) {
      split_at = index($i, "=")
      name = substr($i, 1, split_at - 1)
      if (!(name in field)) field[name] = substr($i, split_at + 1)
    }
    id = field["JobId"]
    if (field["ArrayTaskId"] != "") {
      task = field["ArrayTaskId"]
      if (task ~ /[^0-9]/) task = "[" task "]"
      id = field["ArrayJobId"] "_" task
    }
    if (id != "") print id "|" field["JobState"] "|" field["NodeList"]
  }'
SACCT
  chmod +x "$1/bin/sacct"
}

write_config() {
  local folder=$1 host cpus memory
  host=$(hostname -s)
  cpus=$(nproc --all) # nproc alone heeds OMP_NUM_THREADS
  memory=$(awk '/MemTotal/ { print int($2 / 1024 * 0.9) }' /proc/meminfo)
  cat > "$folder/slurm.conf" << CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$((port_base))
SlurmdPort=$((port_base + 1))
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=5
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_interval=5,sched_min_interval=0
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=1
MinJobAge=$REMEMBER_S
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
  echo "ConstrainCores=no" > "$folder/cgroup.conf"
}

wait_for() { # command..., at most 20 s
  local attempt
  for attempt in $(seq 100); do
    "$@" > /dev/null 2>&1 && return
    sleep 0.2
  done
  cannot "'$*' did not come true within 20 s, see $folder/*.log"
}

idle() { [[ "$(sinfo --noheader --format=%t)" == idle ]]; }

start() {
  requirements
  mkdir -p "$folder"/{bin,state,spool}
  chmod 755 "$folder"
  write_sacct "$folder"
  write_config "$folder"
  head --bytes=128 /dev/urandom > "$folder/munge.key"
  chmod 400 "$folder/munge.key"
  munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munged.seed" < /dev/null > /dev/null 2>&1 \
    || cannot "munged does not start, see $folder/munged.log"
  export SLURM_CONF="$folder/slurm.conf"
  slurmctld < /dev/null > /dev/null 2>&1 || cannot "slurmctld does not start, see $folder/slurmctld.log"
  wait_for scontrol ping
  slurmd < /dev/null > /dev/null 2>&1 || cannot "slurmd does not start, see $folder/slurmd.log"
  wait_for idle
  echo "export SLURM_CONF='$folder/slurm.conf'"
  echo "export PATH='$folder/bin':\$PATH"
}

no_jobs() { [ -z "$(squeue --noheader --states=RUNNING,COMPLETING)" ]; }

stop() {
  local name pid
  export SLURM_CONF="$folder/slurm.conf"
  scancel --signal=KILL --user="$(id -un)" || true
  scancel --user="$(id -un)" || true
  wait_for no_jobs # before munged ends: a job's last message needs it
  for name in slurmd slurmctld munged; do
    pid=$(cat "$folder/$name.pid" 2> /dev/null) || continue
    kill "$pid" 2> /dev/null || true
    while kill -0 "$pid" 2> /dev/null; do sleep 0.1; done
  done
}

[ $# -eq 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
folder=$(realpath --canonicalize-missing "$2")
port_base=${SLURM_NODE_PORT:-6817}
case $1 in
  start) start ;;
  stop) stop ;;
  *) cannot "the first word is start or stop, not $1" ;;
esac
