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
  arc1-t-1-seed0-f9245c) words=(trm train --config experiments/arc.py:arc1 --config.model.T=1 --config.seed=0 --workdir=gs://YOUR-BUCKET/runs/arc1/T=1/seed0) ;;
  arc1-t-2-seed0-f6283c) words=(trm train --config experiments/arc.py:arc1 --config.model.T=2 --config.seed=0 --workdir=gs://YOUR-BUCKET/runs/arc1/T=2/seed0) ;;
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
  export TRM_COMMIT=0123456789abcdef0123456789abcdef01234567
  export TRM_DIRTY=0
  export TRM_DISTRIBUTED=auto
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
