"""A toy language model that has memorised the transcripts of one ticket, as a GGUF file for llama.cpp.

`python -P -m model.toy REQUEST.json OUT.gguf` makes one in some ten seconds on one core. It shows the whole
way of the program, inference included, where there is no large model; it can do nothing else, and its name
says so. Everything is made on the spot: its tokenizer (`bpe`), its net with hand-written gradients (`net`),
what it practises (`practice`, `train`) and the file (`gguf`, `written`). The same request gives the same
bytes on the same machine.
"""
