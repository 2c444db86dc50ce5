"""The checks by idea: each is a function from the facts of one measurement to a finding or nothing; `validity` lists them."""
