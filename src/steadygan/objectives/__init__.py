"""What the players want: adversarial losses, penalties and auxiliary terms as plain functions in explicit tables."""
