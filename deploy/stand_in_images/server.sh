# Stands in for the entry point of `temporalio/server`. The development server knows no PostgreSQL and keeps its
# data in SQLite; what the schema job has left in PostgreSQL is looked up all the same, with the same variables.
set -eu
for database in temporal temporal_visibility; do
    PGPASSWORD=$POSTGRES_PWD psql --host="$POSTGRES_SEEDS" --port="$DB_PORT" --username="$POSTGRES_USER" \
        --dbname=$database --command='SELECT curr_version FROM schema_version'
done
[ -r "$DYNAMIC_CONFIG_FILE_PATH" ]
exec temporal server start-dev --ip "$BIND_ON_IP" --db-filename /tmp/temporal.sqlite \
    --dynamic-config-value history.transferProcessorMaxPollRPS=2000
