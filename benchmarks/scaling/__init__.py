"""How good the scaling policy is: beside other policies, and beside what nobody can beat. See docs/scaling.md."""
