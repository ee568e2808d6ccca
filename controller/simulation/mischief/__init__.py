"""What a nemesis may do to a world, by name: how often it is drawn, how long it lasts, how it is done."""

from __future__ import annotations

from controller.simulation.mischief import machines, people, services
from controller.simulation.mischief.act import Act as Act
from controller.simulation.mischief.act import Mischief as Mischief
from controller.simulation.mischief.act import Undo as Undo

MISCHIEF: dict[str, Mischief] = {
    "kill-agent": Mischief(machines.kill_agent, often=3),
    "freeze-agent": Mischief(machines.freeze_agent, 240, often=3),
    "stop-agent": Mischief(machines.stop_agent),
    "kill-watchdogs": Mischief(machines.kill_watchdogs, often=0.5),
    "step-clock": Mischief(machines.step_clock),
    "lose-machine": Mischief(machines.lose_machine),
    "reclaim": Mischief(machines.reclaim, often=2),
    "reclaim-pool": Mischief(machines.reclaim_pool, often=0.7),
    "disk-full": Mischief(machines.disk_full, 100),
    "metadata-down": Mischief(machines.metadata_down, 200),
    "metadata-garbage": Mischief(machines.metadata_garbage, 200),
    "recommend-rebalance": Mischief(machines.recommend_rebalance),
    "engine-hangs": Mischief(machines.engine_hangs, 150),
    "engine-down": Mischief(machines.engine_down, 60),
    "engine-restarts": Mischief(machines.engine_restarts, 30),
    "registry-down": Mischief(machines.registry_down, 100),
    "starve": Mischief(machines.starve, 200),
    "scale-in": Mischief(machines.scale_in),
    "dud": Mischief(machines.dud, often=0.4),
    "late-groups": Mischief(machines.late_groups, 200),
    "kill-controller": Mischief(services.kill_controller, often=2),
    "step-controllers-clock": Mischief(services.step_controllers_clock, often=0.5),
    "freeze-controller": Mischief(services.freeze_controller, 100),
    "another-controller": Mischief(services.another_controller),
    "network": Mischief(services.network, 150, often=8),
    "sqs-twice": Mischief(services.sqs_twice, 300, often=2),
    "sqs-disorder": Mischief(services.sqs_disorder, 300),
    "sqs-entries": Mischief(services.sqs_entries, 200),
    "sqs-counts": Mischief(services.sqs_counts, 300),
    "sqs-crowded": Mischief(services.sqs_crowded, 200, often=0.5),
    "sqs-purged": Mischief(services.sqs_purged, often=0.5),
    "dynamodb-reads": Mischief(services.dynamodb_reads, 300),
    "dynamodb-writes": Mischief(services.dynamodb_writes, 200),
    "bad-message": Mischief(people.bad_message),
    "bad-submission": Mischief(people.bad_submission, often=0.5),
    "cancel": Mischief(people.cancel, often=0.5),
    "cancel-and-retry": Mischief(people.cancel_and_retry, 60),
    "retry": Mischief(people.retry, often=0.5),
}
