package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.samples.model.TextModel;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.samples.text.Domain;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.HashMap;
import java.util.Map;

/** The domains' texts as a model's tokens, which are made once. */
final class TokenCorpus {

    private final Corpus corpus;
    private final TextModel model;
    private final Map<Place, int[]> tokens = new HashMap<>();

    private record Place(Domain domain, Corpus.Part part) {}

    TokenCorpus(Corpus corpus, TextModel model) {
        this.corpus = corpus;
        this.model = model;
    }

    TextModel model() {
        return model;
    }

    int[] text(Domain domain, Corpus.Part part) {
        return tokens.computeIfAbsent(new Place(domain, part), place -> {
            try {
                return model.tokens(corpus.text(domain, part));
            } catch (IOException e) {
                throw new UncheckedIOException(e.getMessage(), e);
            }
        });
    }
}
