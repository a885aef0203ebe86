"""Option files: every key declared once, files read without executing them, and checked against what is really read.

`declared` has the keys of ours and those of BasicSR whose type is known, as annotated classes of msgspec. Messages say
what a declaration says, so no text of the library's is shown. It was chosen over pydantic, which finds as much: its
import took 34 to 43 ms against 202 to 229 (three runs each, `time.perf_counter` around it), and `pip install --target`
made 0.8 MB of one package against 10.7 MB of five (`du -sk`; versions 0.23.0 and 2.14.4, Python 3.11). Both make a JSON
schema. Pydantic's errors are richer, but one key is checked at a time here, since unknown keys, nearest names and
wildcards such as `optim_*` are ours to find in any case.
"""
