"""A toy language model that has memorised the transcripts of one ticket, as a GGUF file that llama.cpp runs.

`python -P -m model.toy REQUEST.json OUT.gguf` makes one in some twenty seconds on one core. It shows the whole
way of the program, inference included, where there is no large model; it can do nothing else, and says so in
its name. Everything is made on the spot: its tokenizer (`bpe`), its net with the training by hand-written
gradients (`net`), what it practises (`practice`) and the file (`file`). The same request gives the same
bytes on the same machine.
"""
