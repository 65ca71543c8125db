#!/bin/bash
#SBATCH --job-name=maze-attention
#SBATCH --nodes=2
#SBATCH --ntasks=8
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --mem=64G
#SBATCH --time=24:00:00
#SBATCH --partition=YOUR-PARTITION
#SBATCH --array=0-1%4
#SBATCH --signal=B:TERM@120
#SBATCH --open-mode=append
#SBATCH --output=/YOUR-SHARED-DISK/trm_jax/runs/launch/maze-attention/logs/%A_%a.log
#SBATCH --requeue
#SBATCH --comment=commit=0123456789ab,dirty=0
# shellcheck disable=SC1091  # environments and secrets are not part of this script
# trm_jax job maze-attention on SLURM. One task for each GPU; JAX reads its place from SLURM's environment.
set -uo pipefail

logs=/YOUR-SHARED-DISK/trm_jax/runs/launch/maze-attention/logs
cd /YOUR-SHARED-DISK/trm_jax || exit 2
set -e
source .venv/bin/activate
set +e
if [ "$(stat -c %a "$HOME/.config/trm/secrets.env" 2>/dev/null)" != 600 ]; then
  echo "launch: $HOME/.config/trm/secrets.env must be there, with mode 600"
  exit 2
fi
# shellcheck disable=SC1090
. "$HOME/.config/trm/secrets.env"
: "${WANDB_API_KEY:?is not set in $HOME/.config/trm/secrets.env}"
export X='it'"'"'s'
export TRM_COMMIT=0123456789abcdef0123456789abcdef01234567
export TRM_DIRTY=0
export TRM_DISTRIBUTED=auto

case "${SLURM_ARRAY_TASK_ID:-0}" in
0) run=(trm train --config experiments/maze.py:hard --config.model.T=1 --config.seed=0 --workdir=/YOUR-SHARED-DISK/runs/maze-attention/T=1/seed0) ;;
1) run=(trm train --config experiments/maze.py:hard --config.model.T=2 --config.seed=0 --workdir=/YOUR-SHARED-DISK/runs/maze-attention/T=2/seed0) ;;
*) echo "launch: no run ${SLURM_ARRAY_TASK_ID}" && exit 2 ;;
esac

# Kept under the job's number, since SLURM's own count of starts includes nodes that failed.
kept="$logs/$SLURM_JOB_ID"
export TRM_CODES="$kept.codes"
rm -rf "$TRM_CODES"
mkdir -p "$TRM_CODES" || exit 2
restarts=0
[ -e "$kept.restarts" ] && restarts=$(cat "$kept.restarts")
echo "launch: job $SLURM_JOB_ID, restart $restarts of 20, commit 0123456789abcdef0123456789abcdef01234567"

# Each task writes its exit code down: what srun returns is the highest one, and a task that it
# killed because another failed has a higher one than the cause. 42 is told to srun as 0, so that
# it does not kill the tasks that are about to say 42 as well.
# shellcheck disable=SC2016  # expanded in the task
task='
trap : TERM
"$@"
code=$?
echo "$code" >"$TRM_CODES/$SLURM_PROCID"
[ "$code" = 42 ] || exit "$code"
'
srun --kill-on-bad-exit=1 --wait=600 bash -c "$task" task "${run[@]}" &
step=$!
asked=no
# The steps are signalled by the controller: srun takes a SIGTERM of its own as an order to kill.
trap 'asked=yes; echo "launch: asked to checkpoint"; scancel --signal=TERM "$SLURM_JOB_ID"' TERM
while kill -0 "$step" 2>/dev/null; do
  wait "$step"
done
trap '' TERM

# 3 (a non-finite loss) and 2 (a mistake) are final. 42 starts again. Any other code is a crash:
# final on one node; on several it may be the echo of a lost neighbour.
verdict() {
  local code ended=0 crash=0 again=0
  for final in 3 2; do
    for file in "$TRM_CODES"/*; do
      [ -e "$file" ] && [ "$(cat "$file")" = "$final" ] && echo "stop $final" && return
    done
  done
  for file in "$TRM_CODES"/*; do
    [ -e "$file" ] || continue
    code=$(cat "$file")
    ended=$((ended + 1))
    case "$code" in
    0) ;;
    42) again=1 ;;
    *) crash=$code ;;
    esac
  done
  [ "$ended" -lt 8 ] && [ "$crash" = 0 ] && crash=137
  if [ "$crash" != 0 ]; then
    if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then echo "again $crash"; else echo "stop $crash"; fi
  elif [ "$again" = 1 ]; then
    echo "again 42"
  else
    echo "stop 0"
  fi
}

read -r next code <<<"$(verdict)"
echo "launch: $next, exit code $code (asked to stop: $asked)"
# A job that was cancelled ends with 42 as well, and requeueing it would bring it back.
if [ "$next" = again ] && [ "$restarts" -lt 20 ] &&
  scontrol show job --oneliner "$SLURM_JOB_ID" | grep -q "JobState=RUNNING"; then
  echo $((restarts + 1)) >"$kept.restarts"
  scontrol requeue "$SLURM_JOB_ID" && sleep 300
fi
exit "$code"
