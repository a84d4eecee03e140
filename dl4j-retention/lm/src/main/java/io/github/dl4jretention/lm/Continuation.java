package io.github.dl4jretention.lm;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;

/** The text that follows one prompt, as it grows. */
final class Continuation {

    private final int number;
    private final Tokenizer tokenizer;
    private final int context;
    private final Generator.Settings settings;
    private final SplittableRandom random;
    private final List<Integer> ids = new ArrayList<>();
    private final Set<Integer> seen = new HashSet<>();
    private final int prompt;
    private String text = "";
    private String settled = "";
    private int windowStart;
    private int windowSettled;
    private int told;
    private boolean done;

    /**
     * With nothing written yet.
     *
     * @param number   of the prompt, from 0
     * @param prompt   its tokens, at least one
     * @param tokenizer of the model
     * @param context  tokens in all, at most
     * @param settings of the generator
     */
    Continuation(int number, int[] prompt, Tokenizer tokenizer, int context, Generator.Settings settings) {
        this.number = number;
        this.tokenizer = tokenizer;
        this.context = context;
        this.settings = settings;
        random = new SplittableRandom(settings.seed() + number);
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

    /** Tokens, the prompt's among them. */
    int length() {
        return ids.size();
    }

    boolean isDone() {
        return done;
    }

    String text() {
        return text;
    }

    /** Chooses the next token. */
    void add(float[] logits) {
        int id = settings.choice().choose(logits, seen, random);
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
