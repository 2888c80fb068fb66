"""What the user wrote: tasks, lazy results, inputs, routes, policies, resources. Frozen; never runs anything."""
