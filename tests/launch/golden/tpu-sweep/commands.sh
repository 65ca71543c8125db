#!/bin/bash
# What `submit` runs when nothing goes wrong; it reads the state first.
set -e

# ask for the slices, and wait until the state is ACTIVE
gcloud compute tpus queued-resources create arc1 \
  --zone=us-west4-a \
  --project=YOUR-PROJECT \
  --quiet \
  --accelerator-type=v5litepod-16 \
  --runtime-version=v2-alpha-tpuv5-lite \
  --node-id=arc1 \
  --labels=trm-job=arc1,trm-commit=0123456789ab,trm-dirty=false \
  --metadata-from-file=startup-script=startup.sh \
  --spot \
  --service-account=YOUR-SERVICE-ACCOUNT \
  --async
gcloud compute tpus queued-resources list \
  --zone=us-west4-a \
  --project=YOUR-PROJECT \
  --quiet \
  --format=json

# once the workers are there: bring the script, wait for `waiting`, start each run
gcloud compute tpus tpu-vm scp worker.sh arc1:trm-arc1.sh \
  --zone=us-west4-a \
  --project=YOUR-PROJECT \
  --quiet \
  --worker=all
gcloud compute tpus tpu-vm ssh arc1 \
  --zone=us-west4-a \
  --project=YOUR-PROJECT \
  --quiet \
  --worker=all \
  '--command=bash trm-arc1.sh state arc1-t-1-seed0-f9245c 1'
gcloud compute tpus tpu-vm ssh arc1 \
  --zone=us-west4-a \
  --project=YOUR-PROJECT \
  --quiet \
  --worker=all \
  '--command=bash trm-arc1.sh start arc1-t-1-seed0-f9245c 1'
gcloud compute tpus tpu-vm ssh arc1 \
  --zone=us-west4-a \
  --project=YOUR-PROJECT \
  --quiet \
  --worker=all \
  '--command=bash trm-arc1.sh state arc1-t-2-seed0-f6283c 1'
gcloud compute tpus tpu-vm ssh arc1 \
  --zone=us-west4-a \
  --project=YOUR-PROJECT \
  --quiet \
  --worker=all \
  '--command=bash trm-arc1.sh start arc1-t-2-seed0-f6283c 1'

# at the end: the log, and the slices go back
gcloud compute tpus tpu-vm scp arc1:trm-arc1/log.txt arc1.log \
  --zone=us-west4-a \
  --project=YOUR-PROJECT \
  --quiet \
  --worker=0
gcloud compute tpus queued-resources delete arc1 \
  --zone=us-west4-a \
  --project=YOUR-PROJECT \
  --quiet \
  --force \
  --async
