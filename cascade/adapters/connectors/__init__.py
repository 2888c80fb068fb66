"""Where events go out and limits come in: within the process, on the machine, over MQTT."""
