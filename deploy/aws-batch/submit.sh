#!/bin/sh
# Sweeps a dump in an array job of AWS Batch, then merges. Before that, once: put file systems, role and sizes of your own
# into scan.json and merge.json; put the static program, and the directories partials and temporary, on the work file system.
#
#   submit.sh QUEUE SHARES
#
# A share whose dump is damaged (status 3) succeeds, for its partial is there; the merge ends with 3 and says what is wrong.
set -eu
queue=$1 shares=$2
here=$(dirname "$0")
for job in scan merge; do
    aws batch register-job-definition --cli-input-json "file://$here/$job.json" >/dev/null
done
scan=$(aws batch submit-job --job-name kubesweep-scan --job-queue "$queue" --job-definition kubesweep-scan \
    --array-properties "size=$shares" --query jobId --output text)
aws batch submit-job --job-name kubesweep-merge --job-queue "$queue" --job-definition kubesweep-merge \
    --depends-on "jobId=$scan" --query jobId --output text
