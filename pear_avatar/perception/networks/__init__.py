"""The networks that see people: their files, the runner, and what happens before and after them.

The files are Google's MediaPipe models (Apache-2.0, see NOTICE), made by
``tools/build_networks.py`` and run by LiteRT. How crops are placed, followed and decoded is
MediaPipe's own way: crops and their order follow its published graphs, so that landmarks are
those the models were trained for.
"""
