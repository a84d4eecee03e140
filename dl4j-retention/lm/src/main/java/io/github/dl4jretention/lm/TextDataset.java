package io.github.dl4jretention.lm;

import io.github.dl4jretention.lm.text.DocumentReader;
import io.github.dl4jretention.lm.text.TextFile;
import io.github.dl4jretention.lm.text.TextIterator;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/**
 * Texts as minibatches for a language model.
 *
 * <pre>{@code
 * TextDataset data = TextDataset.builder(tokenizer).file(Path.of("tickets.jsonl")).sequenceLength(256).batch(4).build();
 * student.fit(new TeacherIterator(data.iterator(), teacher, DivergenceMask.ALL_TOKENS), epochs);
 * }</pre>
 *
 * <p><b>Files.</b> A .txt file is cut at empty lines into documents of 2,000 bytes or more. Each line of a .jsonl file is
 * a document: an object with {@code text}; with {@code prompt} and {@code completion}; with {@code messages}, each with
 * {@code role} and {@code content}, written by the model's chat template; or with {@code prompt}, {@code chosen} and
 * {@code rejected}, of which the chosen answer is taken, or the rejected one. All UTF-8. Files are read while the
 * iterator goes on; in memory is where their documents begin.
 *
 * <p><b>Minibatches.</b> Features are token ids and labels the ids one token later, both {@code [batch, 1, time]} of type
 * INT32, with masks {@code [batch, time]}. The labels mask is 1 where a token is to be learned: everywhere in texts, in
 * answers only of documents with prompts, unless {@code answersOnly(false)} is set. The features mask is 0 for padding and
 * 1 for tokens, if they aren't packed. So that the divergence counts for prompts too, give the
 * TeacherIterator {@code DivergenceMask.ALL_TOKENS}.
 *
 * <p><b>Pairs.</b> With {@code pairs(true)} each document of {@code prompt}, {@code chosen} and {@code rejected} is two
 * sequences of a minibatch, with the chosen answer and then with the rejected one, as
 * {@link io.github.dl4jretention.loss.Preference} takes them. They're never packed. Give the TeacherIterator
 * {@code DivergenceMask.PROMPTS} to hold the model near its teacher on the prompts.
 *
 * <p><b>Packed</b>, the default: documents fill sequences of {@code sequenceLength}, and the features mask holds the
 * number of each token's document, from {@link io.github.dl4jretention.lm.layers.DecoderBlock#FIRST_DOCUMENT} on. The layers of this library see each document by itself, with positions
 * from 0; other layers don't know such masks, so use {@code packed(false)} for them: one document is one sequence. A text
 * that is longer than the room left is cut; a prompt and its answer never are.
 *
 * <p><b>Order.</b> Documents are shuffled anew in each epoch, from the seed and the epoch's number alone, so that a
 * FinetuningRun goes on exactly. So packed sequences are other ones in each epoch, which a TeacherCache doesn't know: with
 * a cache, use {@code packed(false)}, or {@code shuffled(false)}. Nothing changes after build().
 */
public final class TextDataset {

    private final DocumentReader reader;
    private final Builder settings;
    private final List<TextFile.Place> training;
    private final List<TextFile.Place> validation;

    private TextDataset(
            DocumentReader reader, Builder settings, List<TextFile.Place> training, List<TextFile.Place> validation) {
        this.reader = reader;
        this.settings = settings;
        this.training = training;
        this.validation = validation;
    }

    /**
     * {@return a builder; at least one file is required}
     *
     * @param tokenizer of the model; stays open while iterators are used
     */
    public static Builder builder(Tokenizer tokenizer) {
        return new Builder(Objects.requireNonNull(tokenizer, "tokenizer"));
    }

    /**
     * {@return a builder for a model, which also checks that sequences aren't longer than the model's context}
     *
     * @param model with a tokenizer; stays open while iterators are used
     * @throws IOException if the model's tokenizer can't be read
     */
    public static Builder builder(LanguageModel model) throws IOException {
        Builder builder = new Builder(model.tokenizer());
        builder.context = model.contextLength();
        return builder;
    }

    /** {@return minibatches of the documents to train on, from the beginning of epoch 0} Each call gives a new one. */
    public TextIterator iterator() {
        return iterator(training, settings.shuffled ? settings.seed : null);
    }

    /**
     * {@return minibatches of the documents that were held out, always in the same order}
     *
     * @throws IllegalStateException if none were
     */
    public TextIterator validation() {
        if (validation.isEmpty()) {
            throw new IllegalStateException("validation: expected documents that are held out, got none; set "
                    + "validation(0.1) or so on the builder");
        }
        return iterator(validation, null);
    }

    private TextIterator iterator(List<TextFile.Place> places, @Nullable Long seed) {
        return new TextIterator(
                reader, settings.pairs ? reader.ofRejected() : null, places, settings.packed, settings.batch, seed);
    }

    /** {@return number of documents to train on} */
    public int documents() {
        return training.size();
    }

    /** {@return number of documents that are held out} */
    public int validationDocuments() {
        return validation.size();
    }

    /** Builds a dataset. */
    public static final class Builder {

        private final Tokenizer tokenizer;
        private final List<Path> files = new ArrayList<>();
        private int context = Integer.MAX_VALUE;
        private int sequenceLength = 256;
        private int batch = 4;
        private boolean packed = true;
        private boolean answersOnly = true;
        private boolean rejected;
        private boolean pairs;
        private boolean shuffled = true;
        private double validation;
        private long seed = 1;

        private Builder(Tokenizer tokenizer) {
            this.tokenizer = tokenizer;
        }

        /**
         * @param files .txt or .jsonl; added to those before
         * @return this builder
         */
        public Builder file(Path... files) {
            this.files.addAll(List.of(files));
            return this;
        }

        /**
         * @param sequenceLength tokens of a sequence, at least 1; default 256
         * @return this builder
         */
        public Builder sequenceLength(int sequenceLength) {
            this.sequenceLength = sequenceLength;
            return this;
        }

        /**
         * @param batch sequences of a minibatch, at least 1; default 4
         * @return this builder
         */
        public Builder batch(int batch) {
            this.batch = batch;
            return this;
        }

        /**
         * @param packed whether documents share sequences; default true
         * @return this builder
         */
        public Builder packed(boolean packed) {
            this.packed = packed;
            return this;
        }

        /**
         * @param answersOnly whether of documents with prompts only the answers are learned; default true
         * @return this builder
         */
        public Builder answersOnly(boolean answersOnly) {
            this.answersOnly = answersOnly;
            return this;
        }

        /**
         * @param rejected whether of preferences the rejected answer is taken, instead of the chosen one; default false
         * @return this builder
         */
        public Builder rejected(boolean rejected) {
            this.rejected = rejected;
            return this;
        }

        /**
         * @param pairs whether each document is a pair of sequences, the chosen answer and the rejected one; default false.
         *     Pairs aren't packed
         * @return this builder
         */
        public Builder pairs(boolean pairs) {
            this.pairs = pairs;
            return this;
        }

        /**
         * @param shuffled whether documents are shuffled in each epoch; default true
         * @return this builder
         */
        public Builder shuffled(boolean shuffled) {
            this.shuffled = shuffled;
            return this;
        }

        /**
         * @param part of the documents that is held out, in [0, 1); default 0. With the same files and seed it's the same
         *     documents
         * @return this builder
         */
        public Builder validation(double part) {
            this.validation = part;
            return this;
        }

        /**
         * @param seed of order and split; default 1
         * @return this builder
         */
        public Builder seed(long seed) {
            this.seed = seed;
            return this;
        }

        /**
         * Reads all files once: finds the documents, and checks them.
         *
         * @return the dataset
         * @throws IOException if a file is missing or not UTF-8, or a document is no JSON, empty, of unknown keys, or too
         *     long to stay in one piece; the message names file and line
         * @throws IllegalArgumentException if a setting doesn't fit
         */
        public TextDataset build() throws IOException {
            require(!files.isEmpty(), "file", "at least one", "none");
            require(sequenceLength >= 1, "sequenceLength", "a number of at least 1", sequenceLength);
            require(
                    sequenceLength <= context,
                    "sequenceLength",
                    "a number of at most " + context + ", the model's context",
                    sequenceLength);
            require(batch >= 1, "batch", "a number of at least 1", batch);
            require(!pairs || batch % 2 == 0, "batch", "an even number, for pairs are two sequences each", batch);
            require(!pairs || !rejected, "rejected", "false with pairs, which have both answers", true);
            require(!pairs || answersOnly, "answersOnly", "true with pairs, which are learned by their answers", false);
            require(validation >= 0 && validation < 1, "validation", "a number in [0, 1)", validation);
            DocumentReader reader = new DocumentReader(tokenizer, answersOnly, rejected, sequenceLength);
            List<TextFile.Place> places = new ArrayList<>();
            for (Path file : files) {
                for (TextFile.Place place : new TextFile(file).places()) {
                    if (pairs) {
                        reader.checkPair(place);
                    } else {
                        reader.check(place);
                    }
                    places.add(place);
                }
            }
            int held = (int) Math.round(validation * places.size());
            if (validation > 0 && (held == 0 || held == places.size())) {
                held = Math.min(1, places.size() - 1);
                require(held > 0, "validation", "at least 2 documents to split", places.size());
            }
            List<Integer> order = new ArrayList<>();
            for (int i = 0; i < places.size(); i++) {
                order.add(i);
            }
            Collections.shuffle(order, new Random(seed));
            List<Integer> heldOut = order.subList(0, held);
            List<TextFile.Place> first = new ArrayList<>();
            List<TextFile.Place> second = new ArrayList<>();
            java.util.Set<Integer> out = new java.util.HashSet<>(heldOut);
            for (int i = 0; i < places.size(); i++) {
                (out.contains(i) ? second : first).add(places.get(i));
            }
            return new TextDataset(reader, copy(), first, second);
        }

        private Builder copy() {
            return new Builder(tokenizer)
                    .sequenceLength(sequenceLength)
                    .batch(batch)
                    .packed(packed && !pairs)
                    .pairs(pairs)
                    .shuffled(shuffled)
                    .seed(seed);
        }

        private static void require(boolean fits, String name, String expected, Object got) {
            if (!fits) {
                throw new IllegalArgumentException(name + ": expected " + expected + ", got " + got);
            }
        }
    }
}
