package io.github.dl4jretention.lm;

import io.github.dl4jretention.lm.huggingface.TokenizerFiles;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Text to token ids and back. Either a model folder's tokenizer.json, by the Hugging Face tokenizers library, or the
 * bytes of UTF-8 text, ids 0 to 255, for byte-level models; the latter needs no native library.
 *
 * <p>Thread-safe. A tokenizer of a folder has native memory: close it, unless it is a {@link LanguageModel}'s and the
 * program ends with the model.
 */
public final class Tokenizer implements AutoCloseable {

    private static final int BYTES = 256;

    private final TokenizerFiles files;
    private final @Nullable NativeTokens tokens;
    private final @Nullable ChatTemplate template;

    private Tokenizer(TokenizerFiles files, @Nullable NativeTokens tokens, @Nullable ChatTemplate template) {
        this.files = files;
        this.tokens = tokens;
        this.template = template;
    }

    /** {@return the tokenizer of byte-level models: ids are the bytes of UTF-8 text} */
    public static Tokenizer bytes() {
        return new Tokenizer(TokenizerFiles.NONE, null, null);
    }

    /**
     * {@return the tokenizer of a model folder}
     *
     * @param folder with tokenizer.json, and mostly tokenizer_config.json
     * @throws IOException if the file is missing or damaged
     */
    public static Tokenizer of(Path folder) throws IOException {
        return of(TokenizerFiles.of(Objects.requireNonNull(folder, "folder")));
    }

    static Tokenizer of(TokenizerFiles files) throws IOException {
        String text = files.template();
        ChatTemplate template = text == null ? null : new ChatTemplate(text, files.beginning(), files.end());
        return new Tokenizer(files, new NativeTokens(files), template);
    }

    /**
     * {@return a text's token ids, with the special tokens that the model wants around it, such as a first {@code <s>}}
     *
     * @param text any
     */
    public int[] encode(String text) {
        return encode(text, true);
    }

    /**
     * {@return a text's token ids}
     *
     * @param text       any
     * @param withSpecial whether the special tokens around it are added
     */
    public int[] encode(String text, boolean withSpecial) {
        Objects.requireNonNull(text, "text");
        if (tokens != null) {
            return tokens.encode(text, withSpecial);
        }
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        int[] ids = new int[bytes.length];
        Arrays.setAll(ids, i -> Byte.toUnsignedInt(bytes[i]));
        return ids;
    }

    /**
     * {@return the text of token ids, without special tokens} Bytes that aren't UTF-8 become U+FFFD.
     *
     * @param ids from 0 to the vocabulary's size
     * @throws IllegalArgumentException if there's no such id
     */
    public String decode(int... ids) {
        int most = tokens == null ? BYTES : Integer.MAX_VALUE;
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (int id : ids) {
            if (id < 0 || id >= most) {
                throw new IllegalArgumentException("ids: expected ids of at least 0 and below " + most + ", got " + id);
            }
            bytes.write(id);
        }
        return tokens == null ? bytes.toString(StandardCharsets.UTF_8) : tokens.decode(ids);
    }

    /** {@return one more than the largest id} The model may have more, to a round number. */
    public int vocabulary() {
        return tokens == null ? BYTES : files.vocabulary();
    }

    /** {@return ids that end a text; empty for byte-level models} */
    public Set<Integer> ends() {
        return files.ends();
    }

    /** {@return the id to end a text with in training; -1 if the model has none} */
    public int end() {
        return files.endId();
    }

    /** {@return the id that begins a text; -1 if the model has none} */
    public int beginning() {
        return files.beginningId();
    }

    /** {@return whether the model has a template of conversations} */
    public boolean hasChatTemplate() {
        return template != null;
    }

    /**
     * {@return a conversation as the text that the model was trained on} Encode it without special tokens: the template
     * has written them.
     *
     * @param messages      at least one
     * @param answerFollows whether the text ends where the assistant's answer begins
     * @throws IllegalStateException    if the model has no template
     * @throws IllegalArgumentException if the template doesn't take the messages; the message says why
     */
    public String chat(List<ChatMessage> messages, boolean answerFollows) {
        if (template == null) {
            throw new IllegalStateException("tokenizer: expected a chat_template in tokenizer_config.json or "
                    + "chat_template.jinja, got none; use prompt and completion instead of messages");
        }
        if (messages.isEmpty()) {
            throw new IllegalArgumentException("messages: expected at least one, got none");
        }
        return template.render(messages, answerFollows);
    }

    @Override
    public void close() {
        if (tokens != null) {
            tokens.close();
        }
    }
}
