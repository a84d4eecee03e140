package io.github.dl4jretention.lm;

import io.github.dl4jretention.lm.generation.TokenChoice;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.function.Supplier;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;

/**
 * Writes text with a language model, token after token. {@code rnnTimeStep} keeps what the network knows about the tokens
 * so far: keys and values of decoder blocks, states of LSTMs. So a token costs one step, however long the text is.
 * Of a prompt only the last token's distribution is computed, and what several prompts begin with is read once.
 *
 * <pre>{@code
 * String more = Generator.of(model).temperature(0).maxTokens(60).generate("Once upon a time");
 * }</pre>
 *
 * <p><b>How a token is chosen</b> from its logits z and distribution p: the repetition penalty r makes the logit of each
 * token that is in the text already, its prompt included, {@code z / r} if it's above 0 and {@code z r} if not; the
 * temperature T makes the distribution {@code p^(1/T)}; top-k keeps the k likeliest tokens, top-p the likeliest whose
 * probabilities sum to p or more; and one of those is drawn. T = 0 takes the likeliest. Sources: Holtzman et al., "The
 * Curious Case of Neural Text Degeneration", https://arxiv.org/abs/1904.09751, for top-p; Keskar et al., "CTRL",
 * https://arxiv.org/abs/1909.05858, equation 2, for the penalty, as the transformers library computes it.
 *
 * <p><b>Where it ends:</b> at a token that ends a text, before a stop string, after maxTokens, or at the model's
 * context. Settings give a new generator; this one stays as it is, and so does the network's stored state.
 */
public final class Generator {

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

    /** A model without a state, such as a ComputationGraph: it reads whole sequences for each token. */
    @FunctionalInterface
    public interface NextLogits {

        /**
         * {@return of each sequence, the logits (or log-probabilities) of all tokens that may come next}
         *
         * @param sequences of tokens, all of the same length
         */
        float[][] next(int[][] sequences);
    }

    private final Supplier<Steps> steps;
    private final Tokenizer tokenizer;
    private final int context;
    private final Settings settings;

    /** What the setters set. */
    record Settings(TokenChoice choice, int maxTokens, List<String> stops, long seed, TokenListener listener) {}

    private Generator(Supplier<Steps> steps, Tokenizer tokenizer, int context, Settings settings) {
        this.steps = steps;
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
     * @param network   whose input is token ids, or one-hot, and whose last layer is a softmax, {@code [batch, V, time]}
     * @param tokenizer of its tokens
     */
    public static Generator of(MultiLayerNetwork network, Tokenizer tokenizer) {
        return of(network, tokenizer, Integer.MAX_VALUE);
    }

    /**
     * {@return a generator of a network with a limit of its context}
     *
     * @param network   see {@link #of(MultiLayerNetwork, Tokenizer)}
     * @param tokenizer of its tokens
     * @param context   tokens of prompt and continuation, at most; at least 1
     */
    public static Generator of(MultiLayerNetwork network, Tokenizer tokenizer, int context) {
        Objects.requireNonNull(network, "network");
        return of(() -> new NetworkSteps(network), tokenizer, context);
    }

    /**
     * {@return a generator of any other model, which reads the whole text again for each token}
     *
     * @param model     gives the next token's logits
     * @param tokenizer of its tokens
     * @param context   tokens of prompt and continuation, at most; at least 1
     */
    public static Generator of(NextLogits model, Tokenizer tokenizer, int context) {
        Objects.requireNonNull(model, "model");
        return of(() -> new WholeSteps(model), tokenizer, context);
    }

    private static Generator of(Supplier<Steps> steps, Tokenizer tokenizer, int context) {
        if (context < 1) {
            throw new IllegalArgumentException("context: expected a number of at least 1, got " + context);
        }
        return new Generator(
                steps,
                Objects.requireNonNull(tokenizer, "tokenizer"),
                context,
                new Settings(TokenChoice.PLAIN, 100, List.of(), 1, (prompt, id, text) -> {}));
    }

    private Generator with(TokenChoice choice) {
        return with(new Settings(choice, settings.maxTokens(), settings.stops(), settings.seed(), settings.listener()));
    }

    private Generator with(Settings changed) {
        return new Generator(steps, tokenizer, context, changed);
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
     * {@return the same that repeats itself less} The rule and the number are those of the transformers library: of tokens
     * that are in the text already, a logit above 0 is divided by the penalty, and another one multiplied.
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
     * {@return what the model writes after each prompt of tokens} The same as {@link #generate(List)} without encoding.
     *
     * @param prompts at least one, each of at least one token
     * @throws IllegalArgumentException as {@link #generate(String)} does; the message names the prompt
     */
    public List<String> generateAfter(List<int[]> prompts) {
        return texts(prompts);
    }

    /**
     * {@return what the model writes after each prompt of tokens, as {@link #generateAfter(List)} does} What the head has
     * read isn't read again.
     *
     * @param head    of {@link #read} of a generator of the same model
     * @param prompts at least one, each of which begins with the head's tokens and has at least one more
     * @throws IllegalArgumentException as {@link #generate(String)} does, or if a prompt begins with others; the message
     *     names the prompt
     */
    public List<String> generateAfter(PromptHead head, List<int[]> prompts) {
        for (int i = 0; i < prompts.size(); i++) {
            head.requireBegins(i, prompts.get(i));
        }
        return texts(head, prompts);
    }

    /**
     * {@return what the model knows after reading tokens that several prompts begin with; close it}
     *
     * @param tokens any number
     */
    public PromptHead read(int[] tokens) {
        return new PromptHead(steps.get(), tokens);
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

    private List<String> texts(List<int[]> prompts) {
        try (PromptHead nothing = read(new int[0])) {
            return texts(nothing, prompts);
        }
    }

    /** All sequences take one step at a time: from their prompt while it lasts, and then from what they chose. */
    private List<String> texts(PromptHead head, List<int[]> prompts) {
        List<Continuation> writings = new ArrayList<>();
        int shortest = Integer.MAX_VALUE;
        for (int i = 0; i < prompts.size(); i++) {
            int[] prompt = prompts.get(i);
            if (prompt.length == 0 || prompt.length > context) {
                throw new IllegalArgumentException("prompt " + i + ": expected 1 to " + context
                        + " tokens, as many as the model's context, got " + prompt.length);
            }
            shortest = Math.min(shortest, prompt.length);
            writings.add(new Continuation(i, prompt, tokenizer, context, settings));
        }
        if (writings.isEmpty()) {
            throw new IllegalArgumentException("prompts: expected at least one, got none");
        }
        Steps steps = head.begin(ids(writings, 0, shortest), shortest - 1);
        for (int time = shortest - 1; !writings.stream().allMatch(Continuation::isDone); time++) {
            float[][] next = steps.next(ids(writings, time, 1));
            for (int i = 0; i < next.length; i++) {
                Continuation writing = writings.get(i);
                if (!writing.isDone() && time + 1 >= writing.length()) {
                    writing.add(next[i]);
                }
            }
        }
        return writings.stream().map(Continuation::text).toList();
    }

    private static int[][] ids(List<Continuation> writings, int time, int count) {
        int[][] ids = new int[writings.size()][count];
        for (int i = 0; i < ids.length; i++) {
            for (int t = 0; t < count; t++) {
                ids[i][t] = writings.get(i).at(time + t);
            }
        }
        return ids;
    }
}
