package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.samples.model.TextModel;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.samples.text.Domain;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/** The domains' texts as a model's tokens, which are made once, document by document. */
final class TokenCorpus {

    private final Corpus corpus;
    private final TextModel model;
    private final Map<Place, Tokens> tokens = new HashMap<>();

    private record Place(Domain domain, Corpus.Part part) {}

    /** @param starts of the documents in the text */
    private record Tokens(int[] text, int[] starts) {}

    TokenCorpus(Corpus corpus, TextModel model) {
        this.corpus = corpus;
        this.model = model;
    }

    TextModel model() {
        return model;
    }

    int[] text(Domain domain, Corpus.Part part) {
        return tokens(domain, part).text;
    }

    /** Which document of the text, from 0, a token belongs to. */
    int document(Domain domain, Corpus.Part part, int token) {
        int found = Arrays.binarySearch(tokens(domain, part).starts, token);
        return found < 0 ? -found - 2 : found;
    }

    private Tokens tokens(Domain domain, Corpus.Part part) {
        return tokens.computeIfAbsent(new Place(domain, part), place -> {
            try {
                List<byte[]> documents = corpus.documents(domain, part);
                int[] starts = new int[documents.size()];
                IntStream.Builder text = IntStream.builder();
                int length = 0;
                for (int i = 0; i < starts.length; i++) {
                    starts[i] = length;
                    int[] document = model.tokens(documents.get(i));
                    IntStream.of(document).forEach(text::add);
                    length += document.length;
                }
                return new Tokens(text.build().toArray(), starts);
            } catch (IOException e) {
                throw new UncheckedIOException(e.getMessage(), e);
            }
        });
    }
}
