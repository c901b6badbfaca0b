"""Run the whole stack as processes of this machine, by the launchers that the containers use."""
