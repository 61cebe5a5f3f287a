"""The sandbox: what a command of a ticket or a check may see, use and leave behind, and who holds it to that.

`box.py` says what is allowed, `backend.py` what a backend promises; one file for each backend; `choose.py`
tries to break out of each and takes the first that holds; `sandbox.py` is what the rest of Jetbox calls.
"""
