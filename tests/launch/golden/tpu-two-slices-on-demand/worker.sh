#!/bin/bash
# On every worker of a Cloud TPU slice: starts a run, says how it stands, stops it.
#   worker.sh state|start|stop RUN ATTEMPT
# Each call prints one line, "trm-worker HOST WORD [CODE]". An attempt is started once, however
# often it is asked for, so a start that reached only some workers can be asked for again.
set -uo pipefail

trm=${TRM_HOME:-/opt/trm}
verb=$1
run=$2
folder="$HOME/trm-arc1/$run/$3"

say() {
  echo "trm-worker $(hostname) $*"
}

# The group of the run's processes, if they are alive.
alive() {
  [ -e "$folder/group" ] && kill -0 -- "-$(cat "$folder/group")" 2>/dev/null
}

command_of() {
  case "$run" in
  arc1) words=(trm train --config experiments/arc.py:arc1 --workdir=gs://YOUR-BUCKET/runs/arc1) ;;
  *) exit 2 ;;
  esac
}

case "$verb" in
state)
  if [ -e "$trm/failed" ]; then
    say failed
  elif [ ! -e "$trm/ready-0123456789abcdef0123456789abcdef01234567" ]; then
    say preparing
  elif [ -e "$folder/code" ]; then
    say ended "$(cat "$folder/code")"
  elif alive; then
    say running
  elif [ -d "$folder" ]; then
    # The machine was started anew, or the process was killed together with this script's child.
    say ended 137
  else
    say waiting
  fi
  ;;
start)
  mkdir -p "$(dirname "$folder")"
  if mkdir "$folder" 2>/dev/null; then
    setsid bash "$0" inside "$run" "$3" </dev/null >>"$HOME/trm-arc1/log.txt" 2>&1 &
    echo "$!" >"$folder/group"
  fi
  say started
  ;;
inside)
  # The group's number is the one that `start` wrote: `setsid` of a script's child keeps it.
  trap : TERM
  cd "$trm/source" || exit 2
  export PATH="$trm/venv/bin:$PATH"
  export TF_X='a b'
  export TRM_COMMIT=0123456789abcdef0123456789abcdef01234567
  export TRM_DIRTY=0
  export TRM_DISTRIBUTED=auto
  WANDB_API_KEY="$(gcloud secrets versions access latest --secret=WANDB_API_KEY --project=YOUR-PROJECT)" || exit 2
  export WANDB_API_KEY
  command_of
  echo "launch: run $run, attempt $3, $(date -u +%FT%TZ)"
  "${words[@]}"
  code=$?
  echo "launch: exit code $code"
  echo "$code" >"$folder/code.part" && mv "$folder/code.part" "$folder/code"
  ;;
stop)
  if alive; then
    kill -TERM -- "-$(cat "$folder/group")"
    for _ in $(seq 60); do
      alive || break
      sleep 1
    done
    alive && kill -KILL -- "-$(cat "$folder/group")"
  fi
  say stopped
  ;;
esac
