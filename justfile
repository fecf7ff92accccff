# `just` lists what there is to do.
default:
    @just --list

# What must hold before each commit
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo clippy --bench ablations --features ablation -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

# Every test that needs nothing but this checkout
test *ARGS:
    cargo test --workspace {{ARGS}}

# Shards on a model of Kafka that fails, for so many seeds; then the service on a real one, for half an hour
faults SEEDS="20000":
    NHIWATCH_SEEDS={{SEEDS}} cargo test --test simulation whatever -- --nocapture
    NHIWATCH_KILLS=100 NHIWATCH_FAULT_SECONDS=300 cargo test --test kafka -- --nocapture

# The speed of the engine
bench *ARGS:
    cargo bench --workspace {{ARGS}}

# How often the detectors are wrong while nothing is: --quick, --full, --dev, --write
calibration *ARGS:
    cargo bench --bench calibration -- {{ARGS}}

# What other ways to judge volume see at the same number of false alarms: --quick, --dev, --write
ablations *ARGS:
    cargo bench --bench ablations --features ablation -- {{ARGS}}

# The statistics on real data, from the folder in NHIWATCH_REAL_DATA: --write
real-data *ARGS:
    cargo bench --bench real_data --features ablation -- {{ARGS}}

# A real broker on the loopback: start, topics or stop
kafka DO="start":
    scripts/kafka {{DO}}

# Kafka, nhiwatch, a simulated bank, Prometheus and Grafana in containers
demo:
    docker compose up --build

# Licences, advisories and sources of all dependencies (needs cargo-deny)
deny:
    cargo deny --workspace check
