#!/bin/sh
# Creates the namespace and the search attributes that tasks are found by. Safe to run again.
set -eu

create() {
    temporal operator cluster health || return 1
    temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" > /dev/null 2>&1 ||
        temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION" || return 1
    temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" \
        --name SagaTask --type Keyword --name SagaState --type Keyword \
        --name SagaStep --type Keyword --name SagaCostUsd --type Double
}

# A server that accepts connections is not yet one that answers.
tries=30
until create; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || exit 1
    sleep 2
done
