"""The operator's tools: deploy the gateway, examine it, rehearse its faults, watch it, plan for it."""
