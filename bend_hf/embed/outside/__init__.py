"""Models that live outside transformers, each as a callable of a few lines (see `bend_hf.embed.adapters`).

    bend-hf evaluate bend_hf.embed.outside.enformer:Enformer            # published weights
    bend_hf.evaluate(SpliceAI(my_network, name="my-splice-net"))        # weights of one's own, in memory

None of their packages is needed to import these files. Another network of the kind is a file like one of them.
"""
