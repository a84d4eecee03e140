package io.github.dl4jretention.lm;

import io.github.dl4jretention.lm.generation.TokenChoice;
import io.github.dl4jretention.lm.layers.TokenEmbedding;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * Writes text with a language model, token after token. {@code rnnTimeStep} keeps what the network knows about the tokens
 * so far: keys and values of decoder blocks, states of LSTMs. So a token costs one step, however long the text is.
 *
 * <pre>{@code
 * String more = Generator.of(model).temperature(0).maxTokens(60).generate("Once upon a time");
 * }</pre>
 *
 * <p><b>How a token is chosen</b> from its distribution p: the repetition penalty r multiplies the log-probability of
 * each token that is in the text already, its prompt included; the temperature T makes it {@code p^(1/T)}; top-k keeps
 * the k likeliest tokens, top-p the likeliest whose probabilities sum to p or more; and one of those is drawn. T = 0
 * takes the likeliest. Sources: Holtzman et al., "The Curious Case of Neural Text Degeneration",
 * https://arxiv.org/abs/1904.09751, for top-p; Keskar et al., "CTRL", https://arxiv.org/abs/1909.05858, equation 2, for
 * the penalty, there on logits.
 *
 * <p><b>Where it ends:</b> at a token that ends a text, before a stop string, after maxTokens, or at the model's
 * context. Settings give a new generator; this one stays as it is. A generator uses its network's stored state: one
 * thread at a time for each network.
 */
public final class Generator {

    /** Tokens of a prompt that are computed at once; more would need more memory for distributions nobody reads. */
    private static final int PROMPT_STEP = 64;

    /** Is told about each token. */
    @FunctionalInterface
    public interface TokenListener {

        /**
         * Called for each new token, from the thread that generates.
         *
         * @param prompt number of the prompt, from 0
         * @param id     the token
         * @param text   what it adds to the text; empty while a character or a stop string may be incomplete. The last
         *     call of a prompt may have the id -1, for the rest
         */
        void onToken(int prompt, int id, String text);
    }

    private final MultiLayerNetwork network;
    private final Tokenizer tokenizer;
    private final int context;
    private final Settings settings;

    private record Settings(TokenChoice choice, int maxTokens, List<String> stops, long seed, TokenListener listener) {}

    private Generator(MultiLayerNetwork network, Tokenizer tokenizer, int context, Settings settings) {
        this.network = network;
        this.tokenizer = tokenizer;
        this.context = context;
        this.settings = settings;
    }

    /**
     * {@return a generator of a model: temperature 1, 100 tokens, seed 1}
     *
     * @param model with a tokenizer
     * @throws IOException if the model's tokenizer can't be read
     */
    public static Generator of(LanguageModel model) throws IOException {
        return of(model.network(), model.tokenizer(), model.contextLength());
    }

    /**
     * {@return a generator of any network of tokens, such as LSTMs, without a limit of its context}
     *
     * @param network   whose input is token ids, or one-hot, and whose output is {@code [batch, V, time]}
     * @param tokenizer of its tokens
     */
    public static Generator of(MultiLayerNetwork network, Tokenizer tokenizer) {
        return of(network, tokenizer, Integer.MAX_VALUE);
    }

    private static Generator of(MultiLayerNetwork network, Tokenizer tokenizer, int context) {
        return new Generator(
                Objects.requireNonNull(network, "network"),
                Objects.requireNonNull(tokenizer, "tokenizer"),
                context,
                new Settings(TokenChoice.PLAIN, 100, List.of(), 1, (prompt, id, text) -> {}));
    }

    private Generator with(TokenChoice choice) {
        return with(new Settings(choice, settings.maxTokens(), settings.stops(), settings.seed(), settings.listener()));
    }

    private Generator with(Settings changed) {
        return new Generator(network, tokenizer, context, changed);
    }

    /**
     * {@return the same with another temperature}
     *
     * @param temperature at least 0; 0 takes the likeliest token, 1, the default, the model's own distribution
     */
    public Generator temperature(double temperature) {
        return with(settings.choice().temperature(temperature));
    }

    /**
     * {@return the same that draws from the likeliest tokens}
     *
     * @param topK how many, at least 1; default all
     */
    public Generator topK(int topK) {
        return with(settings.choice().topK(topK));
    }

    /**
     * {@return the same that draws from the likeliest tokens}
     *
     * @param topP what their probabilities sum to, in (0, 1]; default 1
     */
    public Generator topP(double topP) {
        return with(settings.choice().topP(topP));
    }

    /**
     * {@return the same that repeats itself less} Others, the transformers library among them, divide a logit above 0 by
     * the penalty and multiply one below 0. Here it multiplies log-probabilities, as a network gives no logits: they're all
     * below 0, so the same number doesn't mean the same, and a value near 1 goes a long way.
     *
     * @param penalty at least 1, the default, for none
     */
    public Generator repetitionPenalty(double penalty) {
        return with(settings.choice().repetitionPenalty(penalty));
    }

    /**
     * {@return the same with another number of new tokens}
     *
     * @param maxTokens at least 0; default 100
     */
    public Generator maxTokens(int maxTokens) {
        if (maxTokens < 0) {
            throw new IllegalArgumentException("maxTokens: expected a number of at least 0, got " + maxTokens);
        }
        return with(new Settings(settings.choice(), maxTokens, settings.stops(), settings.seed(), settings.listener()));
    }

    /**
     * {@return the same that ends before the first of some texts}
     *
     * @param stops none of them empty
     */
    public Generator stop(String... stops) {
        if (Arrays.asList(stops).contains("")) {
            throw new IllegalArgumentException("stops: expected texts of at least one character, got an empty one");
        }
        return with(new Settings(
                settings.choice(), settings.maxTokens(), List.of(stops), settings.seed(), settings.listener()));
    }

    /**
     * {@return the same with another seed} The prompt of number i draws with the seed plus i.
     *
     * @param seed any; default 1
     */
    public Generator seed(long seed) {
        return with(new Settings(settings.choice(), settings.maxTokens(), settings.stops(), seed, settings.listener()));
    }

    /**
     * {@return the same that tells about each token}
     *
     * @param listener called for each
     */
    public Generator onToken(TokenListener listener) {
        return with(new Settings(
                settings.choice(),
                settings.maxTokens(),
                settings.stops(),
                settings.seed(),
                Objects.requireNonNull(listener, "listener")));
    }

    /**
     * {@return what the model writes after a prompt, without the prompt}
     *
     * @param prompt a text; if it's empty, the model begins with the token that begins texts
     * @throws IllegalArgumentException if the prompt has no token, or more than the context
     */
    public String generate(String prompt) {
        return generate(List.of(prompt)).get(0);
    }

    /**
     * {@return what the model writes after each prompt} Prompts are computed together, and each gets the text that it
     * gets alone with its seed, but for rounding.
     *
     * @param prompts at least one
     * @throws IllegalArgumentException as {@link #generate(String)} does; the message names the prompt
     */
    public List<String> generate(List<String> prompts) {
        List<int[]> ids = new ArrayList<>();
        for (String prompt : prompts) {
            int[] tokens = tokenizer.encode(prompt);
            if (tokens.length == 0 && tokenizer.beginning() >= 0) {
                tokens = new int[] {tokenizer.beginning()};
            }
            ids.add(tokens);
        }
        return texts(ids);
    }

    /**
     * {@return what the model answers to a conversation}
     *
     * @param messages as the model's chat template wants them
     * @throws IllegalStateException if the model has no chat template
     */
    public String chat(List<ChatMessage> messages) {
        return texts(List.of(tokenizer.encode(tokenizer.chat(messages, true), false)))
                .get(0);
    }

    /** All sequences take one step at a time: from their prompt while it lasts, and then from what they chose. */
    private List<String> texts(List<int[]> prompts) {
        List<Writing> writings = new ArrayList<>();
        int shortest = Integer.MAX_VALUE;
        for (int i = 0; i < prompts.size(); i++) {
            int[] prompt = prompts.get(i);
            if (prompt.length == 0 || prompt.length > context) {
                throw new IllegalArgumentException("prompt " + i + ": expected 1 to " + context
                        + " tokens, as many as the model's context, got " + prompt.length);
            }
            shortest = Math.min(shortest, prompt.length);
            writings.add(new Writing(i, prompt));
        }
        if (writings.isEmpty()) {
            throw new IllegalArgumentException("prompts: expected at least one, got none");
        }
        network.rnnClearPreviousState();
        try {
            int time = 0;
            while (writings.stream().anyMatch(writing -> !writing.done)) {
                // The last token of a prompt alone: of those before nobody needs the distribution.
                int count = time < shortest - 1 ? Math.min(PROMPT_STEP, shortest - 1 - time) : 1;
                step(writings, time, count);
                time += count;
            }
        } finally {
            network.rnnClearPreviousState();
        }
        return writings.stream().map(writing -> writing.text).toList();
    }

    private void step(List<Writing> writings, int time, int count) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces();
                INDArray input = input(writings, time, count);
                INDArray output = network.rnnTimeStep(input)) {
            for (int row = 0; row < writings.size(); row++) {
                Writing writing = writings.get(row);
                if (!writing.done && time + count >= writing.ids.size()) {
                    INDArray last =
                            output.get(NDArrayIndex.point(row), NDArrayIndex.all(), NDArrayIndex.point(count - 1L));
                    writing.add(last.toFloatVector());
                }
            }
        }
    }

    private INDArray input(List<Writing> writings, int time, int count) {
        DataType type = network.getLayerWiseConfigurations().getDataType();
        Layer first = network.getLayerWiseConfigurations().getConf(0).getLayer();
        boolean asIds = first instanceof TokenEmbedding || first instanceof EmbeddingSequenceLayer;
        INDArray input = asIds
                ? Nd4j.create(type, writings.size(), 1, count)
                : Nd4j.create(type, writings.size(), network.layerInputSize(0), count);
        for (int row = 0; row < writings.size(); row++) {
            for (int t = 0; t < count; t++) {
                int id = writings.get(row).at(time + t);
                if (asIds) {
                    input.putScalar(new int[] {row, 0, t}, id);
                } else {
                    input.putScalar(new int[] {row, id, t}, 1);
                }
            }
        }
        return input;
    }

    /** One text as it grows. */
    private final class Writing {

        private final int number;
        private final Random random;
        private final List<Integer> ids = new ArrayList<>();
        private final Set<Integer> seen = new HashSet<>();
        private final int prompt;
        private String text = "";
        private String settled = "";
        private int windowStart;
        private int windowSettled;
        private int told;
        private boolean done;

        Writing(int number, int[] prompt) {
            this.number = number;
            random = new Random(settings.seed() + number);
            for (int id : prompt) {
                ids.add(id);
                seen.add(id);
            }
            this.prompt = prompt.length;
            windowSettled = prompt.length;
            done = settings.maxTokens() == 0;
        }

        private String decoded(int until) {
            return tokenizer.decode(ids.subList(windowStart, until).stream()
                    .mapToInt(Integer::intValue)
                    .toArray());
        }

        /**
         * Decoded with the tokens before, first the prompt's and then those of the last whole character: alone, some
         * tokenizers' first token would lose its space.
         */
        private String grown() {
            String before = decoded(windowSettled);
            String with = decoded(ids.size());
            String added = with.substring(Math.min(before.length(), with.length()));
            String grown = settled + added;
            if (!added.isEmpty() && !added.endsWith("\uFFFD")) {
                settled = grown;
                windowStart = windowSettled;
                windowSettled = ids.size();
            }
            return grown;
        }

        /** Sequences that are done repeat their last token until all are. */
        int at(int time) {
            return ids.get(Math.min(time, ids.size() - 1));
        }

        void add(float[] probabilities) {
            int id = settings.choice().choose(probabilities, seen, random);
            if (tokenizer.ends().contains(id)) {
                end(-1);
                return;
            }
            ids.add(id);
            seen.add(id);
            text = grown();
            int stop = stop();
            if (stop >= 0) {
                text = text.substring(0, stop);
                end(id);
            } else if (ids.size() - prompt >= settings.maxTokens() || ids.size() >= context) {
                end(id);
            } else {
                tell(id, Math.max(told, text.length() - held()));
            }
        }

        private void end(int id) {
            done = true;
            if (id >= 0 || told < text.length()) {
                tell(id, text.length());
            }
        }

        private void tell(int id, int until) {
            int from = Math.min(told, until);
            told = until;
            settings.listener().onToken(number, id, text.substring(from, until));
        }

        private int stop() {
            return settings.stops().stream()
                    .mapToInt(text::indexOf)
                    .filter(at -> at >= 0)
                    .min()
                    .orElse(-1);
        }

        /** Characters at the end that may yet become part of a stop string or of another character. */
        private int held() {
            int held = text.length() - text.replaceAll("\uFFFD+$", "").length();
            for (String stop : settings.stops()) {
                for (int length = Math.min(stop.length() - 1, text.length()); length > held; length--) {
                    if (text.endsWith(stop.substring(0, length))) {
                        held = length;
                    }
                }
            }
            return held;
        }
    }
}
