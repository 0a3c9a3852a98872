export function mount(root, state, publish) { publish({}); }
