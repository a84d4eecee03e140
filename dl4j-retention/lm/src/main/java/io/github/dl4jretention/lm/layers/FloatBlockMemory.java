package io.github.dl4jretention.lm.layers;

import org.jspecify.annotations.Nullable;

/** The memory that a {@link FloatDecoder} works in: what lies there, and how much of it there must be. */
final class FloatBlockMemory {

    /** Tokens at a time: enough for fast products, and their rows stay in a cache of half a megabyte. */
    static final int WINDOW = 128;

    private final DecoderBlock block;
    private final FloatAdapters adapters;
    private final int workers;

    FloatBlockMemory(DecoderBlock block, FloatAdapters adapters, int workers) {
        this.block = block;
        this.adapters = adapters;
        this.workers = workers;
    }

    /** What backward needs of forward, for every token; without a backward pass what attention needs of all tokens. */
    final class Kept {
        final FloatRows queryKeyValue;
        final FloatRows logSum;
        final FloatRows mixed;
        final @Nullable FloatRows rawQueryKey;
        final @Nullable FloatRows middle;
        final @Nullable FloatRows wide;

        Kept(Sequences sequences, FloatArena arena, boolean backward) {
            int tokens = sequences.tokens();
            queryKeyValue = arena.take(tokens, block.queryKeyValueWidth());
            logSum = arena.take(sequences.batch() * block.getHeads(), sequences.time());
            mixed = arena.take(tokens, block.queryWidth());
            rawQueryKey = backward && block.isQueryKeyNorm()
                    ? arena.take(tokens, block.queryWidth() + block.keyValueWidth())
                    : null;
            middle = backward ? arena.take(tokens, block.getWidth()) : null;
            wide = backward ? arena.take(tokens, block.upWidth()) : null;
        }
    }

    /** {@return numbers that are {@link Kept} of each token from forward to backward} */
    long kept() {
        long raw = block.isQueryKeyNorm() ? block.queryWidth() + block.keyValueWidth() : 0;
        return raw
                + block.queryKeyValueWidth()
                + block.getHeads()
                + block.queryWidth()
                + block.getWidth()
                + block.upWidth();
    }

    /** Memory for some tokens at a time, which stays in a processor's cache. */
    final class Window {
        final FloatRows normal;
        final FloatRows hidden;
        final @Nullable FloatRows middle;
        final @Nullable FloatRows wide;
        final FloatAdapters.Memory ofAdapters;

        Window(FloatArena arena, int tokens, boolean backward) {
            ofAdapters = adapters.new Memory(arena, tokens);
            normal = arena.take(tokens, block.getWidth());
            hidden = arena.take(tokens, block.getHidden());
            middle = backward ? null : arena.take(tokens, block.getWidth());
            wide = backward ? null : arena.take(tokens, block.upWidth());
        }
    }

    /** A window for each thread. */
    Window[] windows(Sequences sequences, FloatArena arena, boolean backward) {
        Window[] windows = new Window[workers];
        for (int i = 0; i < workers; i++) {
            windows[i] = new Window(arena, tokensOfWindow(sequences), backward);
        }
        return windows;
    }

    private static int tokensOfWindow(Sequences sequences) {
        return Math.min(WINDOW, sequences.tokens());
    }

    /** {@return numbers that forward needs} */
    long forward(Sequences sequences, boolean backward) {
        long ofWindow = (long) block.getWidth() + block.getHidden() + adapters.memory();
        long ofToken = 0;
        if (!backward) {
            ofWindow += block.getWidth() + block.upWidth();
            ofToken = (long) block.queryKeyValueWidth() + block.getHeads() + block.queryWidth();
        }
        return (long) workers * tokensOfWindow(sequences) * ofWindow + sequences.tokens() * ofToken + tiles(sequences);
    }

    /** {@return numbers that backward needs} */
    long backward(Sequences sequences) {
        long ofToken = 6L * block.getWidth()
                + 2L * block.getHidden()
                + block.upWidth()
                + block.queryWidth()
                + block.queryKeyValueWidth()
                + adapters.gradientMemory()
                + (adapters.isEmpty() ? 0 : workers * adapters.memory());
        return sequences.tokens() * ofToken + 2 * tiles(sequences);
    }

    private long tiles(Sequences sequences) {
        return (long) workers * FloatAttention.tile(sequences) * sequences.total();
    }
}
