package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.samples.lesson.Problem;
import io.github.dl4jretention.samples.model.TextModel;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.samples.text.Domain;
import io.github.dl4jretention.samples.text.TokenWindowIterator;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * The domains' texts as a model's tokens, which are made once, document by document. Of problems the answers alone are
 * predicted, and windows begin with a problem.
 */
final class TokenCorpus {

    private final Corpus corpus;
    private final TextModel model;
    private final Map<Place, Tokens> tokens = new HashMap<>();

    private record Place(Domain domain, Corpus.Part part) {}

    /**
     * @param starts  of the documents in the text
     * @param answers whether a token is one of an answer; null for a text without problems
     */
    private record Tokens(int[] text, int[] starts, @Nullable BitSet answers) {

        TokenWindowIterator of(TokenWindowIterator windows) {
            return answers == null ? windows : windows.ofAnswers(starts, answers);
        }
    }

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

    /** Windows at random places. */
    TokenWindowIterator training(int batch, int batches, long seed, Domain domain, Corpus.Part part) {
        Tokens text = tokens(domain, part);
        return text.of(model.training(batch, batches, seed, text.text));
    }

    /** Windows at evenly spaced places. */
    TokenWindowIterator evaluation(int batch, int batches, Domain domain, Corpus.Part part) {
        Tokens text = tokens(domain, part);
        return text.of(model.evaluation(batch, batches, text.text));
    }

    /** Which document of the text, from 0, a token belongs to. */
    int document(Domain domain, Corpus.Part part, int token) {
        int found = Arrays.binarySearch(tokens(domain, part).starts, token);
        return found < 0 ? -found - 2 : found;
    }

    private Tokens tokens(Domain domain, Corpus.Part part) {
        return tokens.computeIfAbsent(new Place(domain, part), place -> {
            try {
                return read(domain, part);
            } catch (IOException e) {
                throw new UncheckedIOException(e.getMessage(), e);
            }
        });
    }

    /** Each document that is made ends as those of pretraining and finetuning do. */
    private Tokens read(Domain domain, Corpus.Part part) throws IOException {
        Text text = new Text();
        List<Problem> problems = Corpus.problems(domain, part);
        for (Problem problem : problems) {
            text.begin();
            int[] prompt = model.tokens(problem.prompt().getBytes(StandardCharsets.UTF_8));
            int[] whole = model.tokens(problem.text().getBytes(StandardCharsets.UTF_8));
            int answer = Arrays.mismatch(prompt, whole);
            text.add(Arrays.copyOf(whole, answer), false);
            text.add(Arrays.copyOfRange(whole, answer, whole.length), true);
            text.end();
        }
        if (problems.isEmpty()) {
            for (byte[] document : corpus.documents(domain, part)) {
                text.begin();
                text.add(model.tokens(document), true);
                if (domain.jars().isEmpty()) {
                    text.end();
                }
            }
        }
        return new Tokens(
                text.tokens.build().toArray(), text.starts.build().toArray(), problems.isEmpty() ? null : text.answers);
    }

    /** A text that grows. */
    private final class Text {

        private final IntStream.Builder tokens = IntStream.builder();
        private final IntStream.Builder starts = IntStream.builder();
        private final BitSet answers = new BitSet();
        private int length;

        void begin() {
            starts.add(length);
        }

        void add(int[] piece, boolean answer) {
            IntStream.of(piece).forEach(tokens::add);
            answers.set(length, length + piece.length, answer);
            length += piece.length;
        }

        /** By the token for it, or an empty line where the model has none. */
        void end() throws IOException {
            int end = model.tokenizer().end();
            add(end < 0 ? model.tokens(new byte[] {'\n', '\n'}) : new int[] {end}, true);
        }
    }
}
