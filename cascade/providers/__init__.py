"""Ready-made tasks: ``cs.shell``, ``cs.template``, ``cs.http.get`` and their like.

In: names after ``cs.``. Out: tasks, as users write them. Invariant: everything here is written with the public names of
`cascade` alone, and is loaded when it is first used. What there is, and what each needs, stands in ``catalogue.py``;
`cascade.providers.registry.register` adds one's own.
"""
