"""`make selfbench`: measure the measuring. Each file asks one question, prints the figures and says what they should be.

cost       what does the engine spend on a request, beside wrk and beside a bare send and recv?
floors     what does each model reach of nginx?
crowd      does the engine hold 10,000 connections in little memory?
fidelity   is the response time that the engine tells the one that the server saw?
stall      what do percentiles tell of a server that freezes once, and is it right?
field      what do other load generators achieve and tell of the same servers?
aa         does comparing a model with itself show a difference?
"""
