"""What tests share; test files import from here and from `reference`, never from each other (`tests/test_rooms.py`).

* `arrays`: native arrays of each backend: made, read back, differentiated and compiled.
* `losses`: a loss made in a dtype, its value and gradient checked against the reference.
* `calls`: names, options and inputs of every loss. `derivatives`: both closed forms against differences.
* `ports`, `torch_ports`: a source loss against its port. `peers`: what other libraries call the losses.
* `groups`, `processes`: center losses in several processes, and how these are run. What each of them does is in
  `torch_processes`, `torch_failures`, `keras_processes`, `tensorflow_replicas` and `jax_devices`.
* `keras_models`: the small models that Keras trains. `torch_checkpoints`: a center loss in regions of checkpointing.
* `centers`: a center loss, a batch and what is expected of them. `demos`: runs of `multiloss demo`.
* `comparisons`, `pains`: what `multiloss.compare` gets, and the families of causes of users' pains.
* `errors`: an error with its message. `pages`: the code blocks of the documentation.

Nothing is imported here: `check_extra.py` runs where only the standard library is.
"""
