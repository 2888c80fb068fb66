"""What the user wrote: tasks, lazy results, inputs, routes, policies, resources. Pure and frozen; never runs anything."""
