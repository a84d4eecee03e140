package io.github.dl4jretention.samples.model;

import io.github.dl4jretention.lm.LanguageModel;
import io.github.dl4jretention.lm.Tokenizer;
import io.github.dl4jretention.samples.text.ByteWindowIterator;
import io.github.dl4jretention.samples.text.TokenWindowIterator;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;

/**
 * A language model that a program finetunes, and how text becomes its tokens: bytes, or those of a model folder's
 * tokenizer.
 *
 * @param network   features {@code [batch, 1, time]} of token ids, output {@code [batch, V, time]}
 * @param tokenizer of its tokens
 * @param window    tokens that are trained on and measured together
 * @param folder    what the network was loaded from; null for a byte-level network by itself
 */
public record TextModel(MultiLayerNetwork network, Tokenizer tokenizer, int window, @Nullable LanguageModel folder) {

    /** Characters that are made tokens at once, to the end of a line; tokenizers hold several objects for each. */
    private static final int PIECE = 20_000;

    /** A byte-level network, whose labels are one-hot. */
    public static TextModel of(MultiLayerNetwork network) {
        return new TextModel(network, Tokenizer.bytes(), ModelKind.CONTEXT, null);
    }

    /**
     * The model of a folder, with windows of 64 tokens, or of its context if that is shorter.
     *
     * @throws IOException if its tokenizer can't be read
     */
    public static TextModel of(LanguageModel model) throws IOException {
        int window = Math.min(ModelKind.CONTEXT, model.contextLength());
        return new TextModel(model.network(), model.tokenizer(), window, model);
    }

    /**
     * The same model with other windows.
     *
     * @param tokens of a window; 0 for those that it has
     * @throws IllegalArgumentException if they are more than the model sees at once
     */
    public TextModel withWindow(int tokens) {
        int most = folder == null ? window : folder.contextLength();
        if (tokens > most) {
            throw new IllegalArgumentException(
                    "window: expected at most " + most + " tokens, which the model sees at once, got " + tokens);
        }
        return tokens == 0 ? this : new TextModel(network, tokenizer, tokens, folder);
    }

    /** What a token is, in words. */
    public String unit() {
        return folder == null ? "byte" : "token";
    }

    /**
     * Tokens of a text, without those that begin and end one.
     *
     * @param utf8 the text
     * @throws IOException if it's not UTF-8, and the model's tokens aren't bytes
     */
    public int[] tokens(byte[] utf8) throws IOException {
        if (folder == null) {
            return IntStream.range(0, utf8.length)
                    .map(i -> Byte.toUnsignedInt(utf8[i]))
                    .toArray();
        }
        String text = StandardCharsets.UTF_8
                .newDecoder()
                .decode(ByteBuffer.wrap(utf8))
                .toString();
        IntStream.Builder tokens = IntStream.builder();
        for (int from = 0; from < text.length(); ) {
            int to = end(text, from);
            IntStream.of(from == 0 ? tokenizer.encode(text.substring(0, to), false) : next(text.substring(from, to)))
                    .forEach(tokens::add);
            from = to;
        }
        return tokens.build().toArray();
    }

    /** Where a piece ends: behind the end of a line, and before one that begins with no space, which could join it. */
    private static int end(String text, int from) {
        int to = Math.min(text.length(), from + PIECE);
        while (to < text.length() && (text.charAt(to - 1) != '\n' || Character.isWhitespace(text.charAt(to)))) {
            to++;
        }
        return to;
    }

    /**
     * Tokens of a piece behind the end of a line. Tokenizers that put a space before a text, such as Llama 2's, put it
     * before that line's end here, which is left out again.
     */
    private int[] next(String piece) {
        int[] lineEnd = tokenizer.encode("\n", false);
        int[] both = tokenizer.encode("\n" + piece, false);
        return Arrays.mismatch(lineEnd, both) == lineEnd.length
                ? Arrays.copyOfRange(both, lineEnd.length, both.length)
                : tokenizer.encode(piece, false);
    }

    /**
     * The text of a sequence's first tokens: as many as leave half of a context for what is written after them. A text
     * that is encoded again may have more tokens than before, such as the one that begins texts.
     *
     * @param tokens  the sequence
     * @param context tokens of the prompt and what follows, at most
     */
    public static String prompt(int[] tokens, Tokenizer tokenizer, int context) {
        int count = tokens.length;
        String prompt = tokenizer.decode(tokens);
        while (count > 1 && tokenizer.encode(prompt).length > context / 2) {
            count--;
            prompt = tokenizer.decode(Arrays.copyOf(tokens, count));
        }
        return prompt;
    }

    /** Windows at random places of texts of tokens, see {@link TokenWindowIterator#training}. */
    public TokenWindowIterator training(int batch, int batches, long seed, int[]... texts) {
        return folder == null
                ? ByteWindowIterator.training(batch, window, batches, seed, texts)
                : TokenWindowIterator.training(folder.vocabulary(), batch, window, batches, seed, texts);
    }

    /** Windows at evenly spaced places of a text of tokens, see {@link TokenWindowIterator#evaluation}. */
    public TokenWindowIterator evaluation(int batch, int batches, int[] text) {
        return folder == null
                ? ByteWindowIterator.evaluation(batch, window, batches, text)
                : TokenWindowIterator.evaluation(folder.vocabulary(), batch, window, batches, text);
    }
}
