"""What must hold whatever goes wrong, as rules over a history: one module for the records, messages, containers and
machines that the promises are about. `controller.simulation.checker` holds a run to all of them."""
