package io.github.dl4jretention.lm;

import java.util.Objects;

/**
 * One message of a conversation.
 *
 * @param role    who says it: as the model's template knows them, mostly system, user and assistant
 * @param content what is said
 */
public record ChatMessage(String role, String content) {

    /**
     * Checks that both are there.
     *
     * @param role    not null
     * @param content not null
     */
    public ChatMessage {
        Objects.requireNonNull(role, "role");
        Objects.requireNonNull(content, "content");
    }
}
